"""Make whole what a restored backup, a damaged disk or cache mode has left of patchsets."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from eportal_core.errors import ArchiveError, InvalidValue, NotFound
from eportal_core.models import Patchset
from eportal_core.operations import patchsets, updates
from eportal_core.portal import Portal
from eportal_core.types import Product

if TYPE_CHECKING:
    from eportal_core.source import layout

log = logging.getLogger("eportal.patches")


def download_missing(portal: Portal, product: Product) -> None:
    """Publish anew, from its archive, every patchset whose files are not whole on the disk.

    The archive is the one that is here, if it is whole, else the very same from the source.

    Raises:
        NoSource: no patch source is set, and an archive is missing.
        Conflict: another update is at work.
        UpstreamError: the source does not answer, or what it says is refused.
        PortalError: one or more patchsets could not be had; all the others are whole.
    """
    store = portal.stores().get(product.name)
    if store is None:
        raise InvalidValue(f"{product.title} is not made of archives.")
    everything = patchsets.all_of(product)
    broken = [patchset for patchset in everything if any(store.faults(patchset))]
    missing = [patchset for patchset in broken if not _mend(portal, product, patchset)]
    if not broken:
        log.info("All of %s is whole: %s patchsets", product.title, len(everything))
    if missing:
        _fetch(portal, missing)


def _mend(portal: Portal, product: Product, patchset: Patchset) -> bool:
    """Whether the archive that is here could be published again."""
    try:
        archive = portal.storage.archives / patchset.archive
        patchsets.receive(portal, product, archive, patchset.sha256)
    except (ArchiveError, NotFound):
        return False
    log.info("%s was put in order from its archive", patchset.name)
    return True


def _fetch(portal: Portal, missing: list[Patchset]) -> None:
    from eportal_core.operations.fetching import fetch

    with updates.opened(portal) as source:
        listed = updates.refresh(portal, source)
        wanted = {row.id: listed[row.id] for row in missing if _is_listed(row, listed)}
        fetched = fetch(portal, source, list(wanted.values()))
    for patchset in missing:
        if patchset.id not in wanted:
            log.error(
                "%s could not be had: %s",
                patchset.name,
                "the patch source has another archive of this name"
                if patchset.id in listed
                else "the patch source does not list it",
            )
            fetched.failed.append(patchset.name)
    fetched.check()


def _is_listed(patchset: Patchset, listed: dict[str, layout.Offer]) -> bool:
    return patchset.id in listed and listed[patchset.id].sha256 == patchset.sha256
