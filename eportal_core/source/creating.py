"""Making a source, and giving one that exists a further product."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
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
from eportal_core.source.keys import KeyFolder, create_keys, discard_keys, is_unfinished
from eportal_core.source.layout import METADATA, TARGETS, TOP_ROLES, is_product_name
from eportal_core.source.publisher import Publisher, locked
from eportal_core.source.repository import Delegator, metadata_name, write_metadata
from eportal_core.source.signing import check_roles, days_of, set_days, sign
from eportal_core.storage import disk_errors, sync_folder

_UNFINISHED = f"{METADATA}.new"
#: What a folder may hold that is to be a source: a new disk, or a source that was not finished.
_HARMLESS = {"lost+found", TARGETS, STAGING, _UNFINISHED}


@dataclass(frozen=True)
class Wanted:
    """What a source is to be.

    thresholds: how many keys a role has, all of which sign; 1 unless named. days: as ``DAYS``.
    """

    products: Sequence[str]
    thresholds: Mapping[str, int] = field(default_factory=dict)
    days: Mapping[str, int] = field(default_factory=dict)

    def check(self) -> None:
        """Raises: InvalidValue: a role, number or product that cannot be."""
        for product in self.products:
            if not is_product_name(product):
                raise InvalidValue(f"A source cannot have a product {product!r}.")
        check_roles((*self.thresholds, *self.days), self.products)
        for role, number in self.thresholds.items():
            if not 1 <= number <= 16:
                raise InvalidValue(f"{role} can have 1 to 16 keys, not {number}.")

    def keys(self, role: str) -> int:
        return self.thresholds.get(role, 1)


def create(folder: Path, keys_folder: Path, wanted: Wanted) -> None:
    """Make a source with nothing in it, and keys for all of its roles.

    One that a death left unfinished is made anew, with other keys, or finished.

    Raises:
        InvalidValue: something in ``wanted`` cannot be; keys inside the source.
        Conflict: there is something in one of the folders.
        StorageError: the disk refused; what was begun is removed.
    """
    wanted.check()
    fresh = not folder.exists()
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder), disk_errors(folder):
            if (folder / METADATA).exists():
                if not is_unfinished(keys_folder, folder):
                    raise Conflict(f"{folder} is a source already.")
                KeyFolder(keys_folder).finish()
                return
            if {path.name for path in folder.iterdir()} - _HARMLESS:
                raise Conflict(f"{folder} is not empty: a source is made in a folder of its own.")
            _create(folder, create_keys(keys_folder, folder), wanted)
    except BaseException:
        # Somebody else may have made a source of it meanwhile.
        for path in (folder / TARGETS, folder) if fresh else ():
            with suppress(OSError):
                path.rmdir()
        raise


def _create(folder: Path, keys: KeyFolder, wanted: Wanted) -> None:
    unfinished = folder / _UNFINISHED
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        for path in (folder / TARGETS, unfinished):
            make_folder(path)
        _write(unfinished, keys, wanted)
        sync_folder(folder)
        unfinished.rename(folder / METADATA)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        discard_keys(keys)
        raise
    sync_folder(folder)
    keys.finish()


def add_products(publisher: Publisher, wanted: Wanted) -> None:
    """Give a source further products; ``publish`` makes them visible.

    Raises:
        Conflict: it has one of them already.
        InvalidValue, NotFound, StorageError: as from ``create``, or the key of targets is missing.
    """
    wanted.check()
    for product in wanted.products:
        if product in publisher.repository.products:
            raise Conflict(f"The source has the product {product} already.")
    publisher.require(Targets.type)
    targets = publisher.repository.lists[Targets.type]
    assert targets.signed.delegations is not None
    for product in wanted.products:
        _delegate(targets.signed, product, publisher.keys, wanted)
        publisher.repository.lists[product] = Metadata(Targets())
        publisher.stage(product)
    publisher.stage(Targets.type)


def _write(place: Path, keys: KeyFolder, wanted: Wanted) -> None:
    """Version 1 of all metadata, with keys for it."""

    def store(role: str, signed: Signed, delegator: Delegator) -> MetaFile:
        set_days(role, signed, wanted.days.get(role, days_of(role, signed)))
        data = sign(keys, role, Metadata(signed), 1, [delegator])
        write_metadata(place / metadata_name(role, 1), data)
        if role == Root.type:
            keys.pin(data)
        return MetaFile.from_data(1, data, ["sha256"])

    root, targets = Root(consistent_snapshot=True), Targets(delegations=Delegations({}, {}))
    for role in TOP_ROLES:
        root.roles[role].threshold = wanted.keys(role)
        for key in keys.make(role, wanted.keys(role)):
            root.add_key(key, role)
    for product in wanted.products:
        _delegate(targets, product, keys, wanted)
    store(Root.type, root, root)
    listed = {f"{product}.json": store(product, Targets(), targets) for product in wanted.products}
    listed["targets.json"] = store(Targets.type, targets, root)
    seen = store(Snapshot.type, Snapshot(meta=listed), root)
    store(Timestamp.type, Timestamp(snapshot_meta=seen), root)


def _delegate(targets: Targets, product: str, keys: KeyFolder, wanted: Wanted) -> None:
    """Let ``product`` sign, with new keys, for what stands below its name."""
    assert targets.delegations is not None
    assert targets.delegations.roles is not None
    targets.delegations.roles[product] = DelegatedRole(
        product, [], wanted.keys(product), terminating=True, paths=[f"{product}/*"]
    )
    for key in keys.make(product, wanted.keys(product)):
        targets.add_key(key, product)
