"""Make a bundle: ask the source, choose what the other side lacks, and have it written.

A portal without a patch source makes one of its other products alone.
"""

from __future__ import annotations

from pathlib import Path

from tuf.api.metadata import Root

from eportal_core.errors import Conflict, InvalidValue, UpstreamError
from eportal_core.models import BLOCKED
from eportal_core.portal import Portal
from eportal_core.source import trust
from eportal_core.source.bundle import stock
from eportal_core.source.bundle.carried import all_carried, files_of
from eportal_core.source.bundle.packing import Item
from eportal_core.source.bundle.receipts import Receipt
from eportal_core.source.bundle.writing import Writer, Written
from eportal_core.source.client import Source, open_place, open_source
from eportal_core.source.held import HeldMetadata, held
from eportal_core.source.layout import METADATA
from eportal_core.source.places import Place
from eportal_core.storage import disk_errors


def create(
    portal: Portal, folder: Path, receipt: Receipt | None = None, part_size: int | None = None
) -> Written:
    """Write all that there is now, or what ``receipt`` lacks of it, into a new folder.

    What the source has blocked is named by its metadata, and its archive is left out. part_size:
    bytes that a part may have; without it, the bundle is one.

    Raises:
        NoSource: no patch source is set, and there is nothing else; or none is trusted.
        Conflict: the folder is there already, or the source is being read.
        InvalidValue: a file does not fit into a part, or the receipt is of another source.
        UpstreamError: the source cannot be read, or is refused.
        StorageError: the disk refused; nothing is left of the bundle.
    """
    folder = folder.absolute()
    with disk_errors(folder):
        if folder.exists() or folder.is_symlink():
            raise Conflict(f"{folder} is there already: a bundle is written into a new folder.")
        if not folder.parent.is_dir():
            raise InvalidValue(f"There is no folder {folder.parent}.")
    loads = _loads(portal, receipt)
    # Without a source, what it is opened for is that nobody else makes a bundle.
    alone = str(folder.parent) if loads and not portal.config["PATCH_SOURCE_URL"] else None
    with open_source(portal, url=alone) as source, open_place(portal, alone) as place:
        known, archives = (None, []) if alone else _offered(portal, source, place, receipt)
        return Writer(portal, folder, stock.make(known, archives, loads), part_size).write()


def _loads(portal: Portal, receipt: Receipt | None) -> list[stock.Load]:
    found = []
    for carried in all_carried(portal):
        if files := files_of(carried):
            others = [file for file in files if not file.always]
            found.append(
                stock.Load(
                    carried,
                    [file for file in files if file.always],
                    receipt.lacks_of(carried, others) if receipt else others,
                )
            )
    return found


def _offered(
    portal: Portal, source: Source, place: Place, receipt: Receipt | None
) -> tuple[HeldMetadata, list[Item]]:
    """The metadata of the source, and the archives that are to go with it."""
    offers = [offer for offer in source.refresh() if offer.state != BLOCKED]
    known = _known(portal, place)
    if receipt is not None:
        _check(receipt, known)
        offers = receipt.lacks(offers)
    return known, stock.archives(portal, place, offers)


def _known(portal: Portal, place: Place) -> HeldMetadata:
    """The metadata that was just verified, from the first root on: who trusts that needs it."""
    root = trust.pinned(portal.config, place)
    found = held(trust.folder_of(portal.config) / trust.fingerprint(root))
    older = _older_roots(place, found.versions[Root.type] - len(found.roots))
    roots = [*map(trust.fingerprint, older.values()), *found.roots]
    return HeldMetadata({**older, **found.files}, roots, found.versions, found.expires)


def _older_roots(place: Place, count: int) -> dict[str, bytes]:
    """The first ``count`` roots, by path; none when the source has not kept them."""
    found = {}
    try:
        for number in range(1, count + 1):
            path = f"{METADATA}/{number}.root.json"
            found[path] = place.read(path, trust.MAX_BYTES)
    except UpstreamError as error:
        if error.answered != 404:
            raise
        return {}
    return found


def _check(receipt: Receipt, known: HeldMetadata) -> None:
    if receipt.source and receipt.source not in known.roots:
        raise InvalidValue(
            f"The receipt is for another patch source, which has the fingerprint {receipt.source}; "
            f"this one has {known.roots[0]}."
        )
    for role, version in receipt.metadata.items():
        if version > known.versions.get(role, version):
            raise InvalidValue(
                f"The receipt tells of {role}.json in version {version}, and this portal has "
                f"{known.versions[role]}: the portal that wrote it would refuse the bundle."
            )
