"""Metadata of a patch source: fetched, verified by python-tuf, kept only when all of it is good.

::

    <folder>/roots/        every root that was verified, kept whatever comes after it
    <folder>/metadata/     the last metadata that was good as a whole
    <folder>/work/         what is being verified

So a source that is refused leaves things as they were, but for roots: a root that takes a stolen
key out of use must not be forgotten because the thief then sends rubbish.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from tuf.api.metadata import Metadata, Targets
from tuf.ngclient import Updater, UpdaterConfig

from eportal_core.errors import SourceRefused, UpstreamError
from eportal_core.source.fetcher import MAX_BYTES, MetadataFetcher
from eportal_core.source.layout import METADATA, Offer, offers
from eportal_core.source.places import Place
from eportal_core.source.refusals import TUF_ERRORS, refusal
from eportal_core.source.trust import MAX_BYTES as ROOT_MAX_BYTES
from eportal_core.storage import exchange, sync_folder, sync_tree

#: How often the root may have been changed since the one that is pinned.
_ROTATIONS = 1024
#: A path below a product that no file has.
_PROBE = "probe"


def current(place: Place, folder: Path, root: bytes, products: Iterable[str]) -> list[Offer]:
    """What the source lists now of ``products``, all of it verified from ``root`` on.

    Raises:
        SourceRefused: something is not as it was signed, or not fresh; one sentence.
        UpstreamError: the source does not answer.
        OSError: the disk refused.
    """
    good, work = folder / "metadata", folder / "work"
    _prepare(folder, good, work)
    fetcher = MetadataFetcher(place)
    try:
        found = list(_verified(work, fetcher, root, products))
    except TUF_ERRORS as error:
        raise refusal(error, place, fetcher.came, work, good) from error
    if good.exists():
        if _contents(work) != _contents(good):
            sync_tree(work)
            exchange(work, good)
        shutil.rmtree(work)
    else:
        sync_tree(work)
        work.rename(good)
    sync_folder(folder)
    return found


def _prepare(folder: Path, good: Path, work: Path) -> None:
    """Copy what was good into a fresh working folder."""
    (folder / "roots").mkdir(parents=True, exist_ok=True)
    if work.exists():
        shutil.rmtree(work)
    work.mkdir()
    (work / "root_history").symlink_to("../roots")
    for name, data in _contents(good).items():
        (work / name).write_bytes(data)


def _contents(folder: Path) -> dict[str, bytes]:
    """The metadata files in ``folder`` but for roots, by name."""
    files = (path for path in folder.glob("*.json") if not path.is_symlink())
    return {path.name: path.read_bytes() for path in files}


def _verified(
    work: Path, fetcher: MetadataFetcher, root: bytes, products: Iterable[str]
) -> Iterator[Offer]:
    updater = Updater(
        str(work),
        METADATA,
        fetcher=fetcher,
        config=UpdaterConfig(
            max_root_rotations=_ROTATIONS,
            root_max_length=ROOT_MAX_BYTES,
            targets_max_length=MAX_BYTES,
        ),
        bootstrap=root,
    )
    updater.refresh()
    top = _role(work, Targets.type)
    delegated = top.delegations.roles if top.delegations else None
    for product in products:
        if delegated is not None and product in delegated:
            _check_delegation(top, product)
            # Looking for any path of a product loads and verifies its role.
            updater.get_targetinfo(f"{product}/{_PROBE}")
            yield from _offers(product, _role(work, product))


def _check_delegation(top: Targets, product: str) -> None:
    """Refuse delegations by which a path of a product would be looked for in another role first.

    Raises:
        SourceRefused: there is one.
    """
    path = f"{product}/{_PROBE}"
    assert top.delegations is not None
    first = next(top.delegations.get_roles_for_target(path), ("", False))[0]
    if first != product or path in top.targets:
        raise SourceRefused(
            f"The patch source is refused: it has patchsets of {product} signed as those of "
            f"{first or 'nobody'}."
        )


def _role(work: Path, role: str) -> Targets:
    """What a role lists; call it when python-tuf has verified the file."""
    return Metadata[Targets].from_bytes((work / f"{role}.json").read_bytes()).signed


def _offers(product: str, role: Targets) -> list[Offer]:
    try:
        return offers(product, role)
    except UpstreamError as error:
        raise SourceRefused(f"The patch source is refused: {error}") from error
