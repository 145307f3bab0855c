"""Cache mode: fetch the manifests of what the source lists; the files come when asked for."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from eportal_core.errors import InvalidValue, PortalError
from eportal_core.models import Feed, Patchset
from eportal_core.operations import offers, patchsets, updates
from eportal_core.operations.fetching import Fetched
from eportal_core.operations.workers import Workers
from eportal_core.patchsets.description import META_SUFFIX
from eportal_core.patchsets.progress import progress_bar
from eportal_core.portal import Portal
from eportal_core.storage import disk_errors

if TYPE_CHECKING:
    from eportal_core.patchsets.manifest import Manifest
    from eportal_core.source import layout
    from eportal_core.source.client import Source

log = logging.getLogger("eportal.patches")


def fetch_manifests(portal: Portal, source: Source, chosen: Sequence[layout.Offer]) -> Fetched:
    """Fetch and publish the manifests of ``chosen``, in no feed; one that fails is logged."""
    done = Fetched()
    if not chosen:
        return done
    with _folder(portal) as folder, progress_bar("Fetching manifests") as show:
        coming = Workers(source.fetch_manifest, chosen, portal.config["DOWNLOADS_AT_ONCE"])
        try:
            for count in range(1, len(chosen) + 1):
                offer, manifest = coming.ended.get()
                came = _publish(portal, offer, folder, manifest)
                (done.came if came else done.failed).append(offer.name)
                if show:
                    show(count, len(chosen))
        finally:
            # They write nothing.
            coming.stop(wait=False)
    return done


def fetch_meta(portal: Portal) -> Fetched:
    """Know every patchset that the source has for some feed; what is whole here stays as it is.

    Raises:
        InvalidValue: CACHE_MODE is off.
        NoSource, Conflict, UpstreamError: as ``updates.update``.
    """
    if not portal.config["CACHE_MODE"]:
        raise InvalidValue(
            "CACHE_MODE is off: add CACHE_MODE = True to the configuration first, and restart the "
            "portal when this command has ended."
        )
    stores = portal.stores()
    with updates.opened(portal) as source:
        listed = updates.refresh(portal, source)
        described = {
            row.id
            for row in Patchset.select()
            if row.product in stores and stores[row.product].is_described(row)
        }
        feeds = list(Feed.select())
        return fetch_manifests(
            portal,
            source,
            [
                listed[row.id]
                for name in stores
                for row in offers.wanted(portal, portal.products[name], feeds)
                if row.id not in described
            ],
        )


@contextmanager
def _folder(portal: Portal) -> Iterator[Path]:
    """An empty folder; whoever holds the source has it for himself."""
    folder = portal.config.data_dir / "cache" / "manifests"
    shutil.rmtree(folder, ignore_errors=True)
    with disk_errors(folder):
        folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(portal: Portal, offer: layout.Offer, folder: Path, coming: Future[Manifest]) -> bool:
    """Whether the manifest came and was published."""
    path = folder / f"{offer.name}{META_SUFFIX}"
    try:
        manifest = coming.result()
        with disk_errors(folder):
            path.write_bytes(manifest.encode())
        patchsets.receive(portal, portal.products[offer.product], path, offer.sha256)
        log.info("%s was described", offer.name)
    except PortalError as error:
        log.error("%s could not be had: %s", offer.name, error)
        return False
    return True
