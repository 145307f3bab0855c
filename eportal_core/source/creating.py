"""Making a source, and giving one that exists a further product."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Signed,
    Snapshot,
    Targets,
    Timestamp,
)

from eportal_core.errors import Conflict, InvalidValue
from eportal_core.source.content import STAGING, make_folder
from eportal_core.source.keys import KeyFolder, create_keys, discard_keys
from eportal_core.source.layout import METADATA, TARGETS, TOP_ROLES, is_product_name
from eportal_core.source.publisher import Publisher, locked
from eportal_core.source.repository import Delegator, metadata_name, write_metadata
from eportal_core.source.signing import check_roles, days_of, set_days, sign
from eportal_core.storage import disk_errors, sync_folder

_UNFINISHED = f"{METADATA}.new"
#: What a folder may hold that is to be a source: a new disk, or a source that was not finished.
_HARMLESS = {"lost+found", TARGETS, STAGING, _UNFINISHED}


def create(
    folder: Path,
    keys_folder: Path,
    products: Sequence[str],
    thresholds: Mapping[str, int],
    days: Mapping[str, int],
) -> None:
    """Make a source with nothing in it, and keys for all of its roles.

    thresholds: how many keys a role has, all of which sign; 1 unless named. days: as ``DAYS``.

    Raises:
        InvalidValue: a role, number or product that cannot be; keys inside the source.
        Conflict: there is something in one of the folders.
        StorageError: the disk refused; what was begun is removed.
    """
    _check(products, thresholds, days)
    fresh = not folder.exists()
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder), disk_errors(folder):
            _create(folder, keys_folder, products, thresholds, days)
    except BaseException:
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _create(
    folder: Path,
    keys_folder: Path,
    products: Sequence[str],
    thresholds: Mapping[str, int],
    days: Mapping[str, int],
) -> None:
    if (folder / METADATA).exists():
        raise Conflict(f"{folder} is a source already.")
    if {path.name for path in folder.iterdir()} - _HARMLESS:
        raise Conflict(f"{folder} is not empty: a source is made in a folder of its own.")
    keys = create_keys(keys_folder, folder)
    unfinished = folder / _UNFINISHED
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        for path in (folder / TARGETS, unfinished):
            make_folder(path)
        _write(unfinished, keys, products, thresholds, days)
        sync_folder(folder)
        unfinished.rename(folder / METADATA)
        sync_folder(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        discard_keys(keys)
        raise


def add_products(
    publisher: Publisher, products: Sequence[str], thresholds: Mapping[str, int]
) -> None:
    """Give a source further products; ``publish`` makes them visible.

    Raises:
        Conflict: it has one of them already.
        InvalidValue, NotFound, StorageError: as from ``create``, or the key of targets is missing.
    """
    _check(products, thresholds, {})
    for product in products:
        if product in publisher.repository.products:
            raise Conflict(f"The source has the product {product} already.")
    publisher.require(Targets.type)
    targets = publisher.repository.lists[Targets.type]
    assert targets.signed.delegations is not None
    for product in products:
        _delegate(targets.signed, product, publisher.keys, thresholds)
        publisher.repository.lists[product] = Metadata(Targets())
        publisher.stage(product)
    publisher.stage(Targets.type)


def _check(products: Sequence[str], thresholds: Mapping[str, int], days: Mapping[str, int]) -> None:
    for product in products:
        if not is_product_name(product):
            raise InvalidValue(f"A source cannot have a product {product!r}.")
    check_roles((*thresholds, *days), products)
    for role, number in thresholds.items():
        if not 1 <= number <= 16:
            raise InvalidValue(f"{role} can have 1 to 16 keys, not {number}.")


def _write(
    place: Path,
    keys: KeyFolder,
    products: Sequence[str],
    thresholds: Mapping[str, int],
    days: Mapping[str, int],
) -> None:
    """Version 1 of all metadata, with keys for it."""

    def store(role: str, signed: Signed, delegator: Delegator) -> MetaFile:
        set_days(role, signed, days.get(role, days_of(role, signed)))
        data = sign(keys, role, Metadata(signed), 1, [delegator])
        write_metadata(place / metadata_name(role, 1), data)
        if role == Root.type:
            keys.pin(data)
        return MetaFile.from_data(1, data, ["sha256"])

    root, targets = Root(consistent_snapshot=True), Targets(delegations=Delegations({}, {}))
    for role in TOP_ROLES:
        root.roles[role].threshold = thresholds.get(role, 1)
        for key in keys.make(role, thresholds.get(role, 1)):
            root.add_key(key, role)
    for product in products:
        _delegate(targets, product, keys, thresholds)
    store(Root.type, root, root)
    listed = {f"{product}.json": store(product, Targets(), targets) for product in products}
    listed["targets.json"] = store(Targets.type, targets, root)
    seen = store(Snapshot.type, Snapshot(meta=listed), root)
    store(Timestamp.type, Timestamp(snapshot_meta=seen), root)


def _delegate(
    targets: Targets, product: str, keys: KeyFolder, thresholds: Mapping[str, int]
) -> None:
    """Let ``product`` sign, with new keys, for what stands below its name."""
    assert targets.delegations is not None
    assert targets.delegations.roles is not None
    count = thresholds.get(product, 1)
    targets.delegations.roles[product] = DelegatedRole(
        product, [], count, terminating=True, paths=[f"{product}/*"]
    )
    for key in keys.make(product, count):
        targets.add_key(key, product)
