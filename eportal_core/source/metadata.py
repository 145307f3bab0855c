"""Metadata of a patch source: fetched, verified by python-tuf, kept only when all of it is good.

::

    <folder>/roots/        every root that was verified, kept whatever comes after it
    <folder>/metadata/     the last metadata that was good as a whole
    <folder>/next/         what is being verified

So a source that is refused leaves things as they were, but for roots: a root that takes a stolen
key out of use must not be forgotten because the thief then sends rubbish.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Targets
from tuf.ngclient import Updater, UpdaterConfig

from eportal_core.errors import SourceRefused, UpstreamError
from eportal_core.source.fetcher import MAX_BYTES, MetadataFetcher
from eportal_core.source.layout import METADATA, Offer, is_product_name, offers
from eportal_core.source.places import Place
from eportal_core.source.refusals import TUF_ERRORS, refusal
from eportal_core.source.trust import MAX_BYTES as ROOT_MAX_BYTES
from eportal_core.source.trust import check_root
from eportal_core.storage import exchange, sync_folder, sync_tree, write_file

log = logging.getLogger("eportal.source")

#: How often the root may have been changed since the one that is pinned.
_ROTATIONS = 1024
#: A path below a product that no file has.
_PROBE = "probe"


def current(
    place: Place, folder: Path, root: bytes, products: Iterable[str], *, whole: bool = False
) -> list[Offer]:
    """What the source lists now of ``products``, all of it verified from ``root`` on.

    whole: keep all that can be had besides, for others who read it from here: the lists of other
    products, and the roots before ``root``.

    Raises:
        SourceRefused: something is not as it was signed, or not fresh; one sentence.
        UpstreamError: the source does not answer.
        OSError: the disk refused.
    """
    good, fresh = folder / "metadata", folder / "next"
    _prepare(folder, good, fresh)
    fetcher = MetadataFetcher(place)
    try:
        found = list(_verified(fresh, fetcher, root, products, whole))
        if not good.exists():
            sync_tree(fresh)
            fresh.rename(good)
        elif _contents(fresh) != _contents(good):
            sync_tree(fresh)
            exchange(fresh, good)
    except TUF_ERRORS as error:
        raise refusal(error, place, fetcher.came, fresh, good) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    sync_folder(folder)
    if whole:
        _keep_older_roots(place, folder / "roots", root)
    return found


def _prepare(folder: Path, good: Path, fresh: Path) -> None:
    """Copy what was good into a new folder."""
    (folder / "roots").mkdir(parents=True, exist_ok=True)
    if fresh.exists():
        shutil.rmtree(fresh)
    fresh.mkdir()
    (fresh / "root_history").symlink_to("../roots")
    for name, data in _contents(good).items():
        (fresh / name).write_bytes(data)


def _contents(folder: Path) -> dict[str, bytes]:
    """The metadata files in ``folder`` but for roots, by name."""
    files = (path for path in folder.glob("*.json") if not path.is_symlink())
    return {path.name: path.read_bytes() for path in files}


def _verified(
    fresh: Path, fetcher: MetadataFetcher, root: bytes, products: Iterable[str], whole: bool
) -> Iterator[Offer]:
    updater = Updater(
        str(fresh),
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
    top = _role(fresh, Targets.type)
    delegated = (top.delegations and top.delegations.roles) or {}
    ours = [product for product in products if product in delegated]
    for product in ours:
        _load(updater, top, product)
        yield from _offers(product, _role(fresh, product))
    for product in filter(is_product_name, delegated.keys() - ours if whole else ()):
        try:
            _load(updater, top, product)
        except (*TUF_ERRORS, UpstreamError) as error:
            log.warning("The list of %s is not handed on: %s", product, error)


def _load(updater: Updater, top: Targets, product: str) -> None:
    """Let the list of ``product`` be fetched and verified: looking for any of its paths does."""
    _check_delegation(top, product)
    updater.get_targetinfo(f"{product}/{_PROBE}")


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


def _keep_older_roots(place: Place, roots: Path, root: bytes) -> None:
    """Keep the roots before ``root``, each of which has signed the next, as far as can be had.

    Nobody can prove them to whoever knows ``root`` alone: what somebody on the way made up is
    replaced when the source is asked the next time.
    """
    try:
        newer = Metadata[Root].from_bytes(root)
        for number in range(newer.signed.version - 1, 0, -1):
            name = f"{number}.root.json"
            data = place.read(f"{METADATA}/{name}", ROOT_MAX_BYTES)
            check_root(data, name)
            older = Metadata[Root].from_bytes(data)
            older.signed.verify_delegate(Root.type, newer.signed_bytes, newer.signatures)
            if older.signed.version != number:
                raise SourceRefused(f"{name} has version {older.signed.version}.")
            if not (roots / name).exists() or (roots / name).read_bytes() != data:
                write_file(roots / name, data)
            newer = older
    except (RepositoryError, UpstreamError) as error:
        log.info("Older roots of the patch source are not handed on: %s", error)


def _role(fresh: Path, role: str) -> Targets:
    """What a role lists; call it when python-tuf has verified the file."""
    return Metadata[Targets].from_bytes((fresh / f"{role}.json").read_bytes()).signed


def _offers(product: str, role: Targets) -> list[Offer]:
    try:
        return offers(product, role)
    except UpstreamError as error:
        raise SourceRefused(f"The patch source is refused: {error}") from error
