"""Make a bundle: ask the source, choose what the other side lacks, and have it written."""

from __future__ import annotations

from pathlib import Path

from tuf.api.metadata import Root

from eportal_core.errors import Conflict, InvalidValue, UpstreamError
from eportal_core.portal import Portal
from eportal_core.source import trust
from eportal_core.source.bundle.held import HeldMetadata, held
from eportal_core.source.bundle.receipts import Receipt
from eportal_core.source.bundle.writing import Writer, Written
from eportal_core.source.client import open_place, open_source
from eportal_core.source.layout import BLOCKED, METADATA
from eportal_core.source.places import Place
from eportal_core.storage import disk_errors


def create(
    portal: Portal, folder: Path, receipt: Receipt | None = None, part_size: int | None = None
) -> Written:
    """Write all that the source lists now, or what ``receipt`` lacks of it, into a new folder.

    What the source has blocked is named by its metadata, and its archive is left out. part_size:
    bytes that a part may have; without it, the bundle is one.

    Raises:
        NoSource: no patch source is set, or none is trusted.
        Conflict: the folder is there already, or the source is being read.
        InvalidValue: an archive does not fit into a part, or the receipt is of another source.
        UpstreamError: the source cannot be read, or is refused.
        StorageError: the disk refused; nothing is left of the bundle.
    """
    folder = folder.absolute()
    with disk_errors(folder):
        if folder.exists() or folder.is_symlink():
            raise Conflict(f"{folder} is there already: a bundle is written into a new folder.")
        if not folder.parent.is_dir():
            raise InvalidValue(f"There is no folder {folder.parent}.")
    with open_source(portal) as source, open_place(portal.config) as place:
        listed = [offer for offer in source.refresh() if offer.state != BLOCKED]
        known = _known(portal, place)
        if receipt is not None:
            _check(receipt, known)
            listed = receipt.lacks(listed)
        return Writer(portal, place, folder, known, listed, part_size).write()


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
    if receipt.source not in known.roots:
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
