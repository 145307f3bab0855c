"""Fetch archives that the source lists, several at once, and publish each as it comes."""

from __future__ import annotations

import hashlib
import logging
import shutil
import threading
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING

from eportal_core.counting import counted
from eportal_core.errors import PortalError, StorageError
from eportal_core.models import Offer, Patchset
from eportal_core.operations import patchsets
from eportal_core.operations.coming import Coming, telling
from eportal_core.operations.workers import Workers
from eportal_core.patchsets.progress import progress_bar
from eportal_core.portal import Portal
from eportal_core.storage import disk_errors

if TYPE_CHECKING:
    from eportal_core.source import layout
    from eportal_core.source.client import Source

log = logging.getLogger("eportal.patches")

#: Seconds between two looks at what has come.
_LOOK = 0.2


@dataclass
class Fetched:
    """What came of it: names of patchsets that came, and of those that could not be had."""

    came: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def check(self) -> None:
        """To be asked when everything else is done.

        Raises:
            PortalError: something could not be had; why was logged.
        """
        if self.failed:
            wanted = counted(len(self.came) + len(self.failed), "patchset")
            raise PortalError(
                f"{len(self.failed)} of {wanted} could not be had: "
                f"{', '.join(self.failed[:5])}{', …' if len(self.failed) > 5 else ''}."
            )


class _Stopped(Exception):
    """A download is given up, because nobody waits for it."""


class _Downloads(Workers["layout.Offer", None]):
    """Archives that come to ``places``; everybody is told of each until it is ``settled``."""

    def __init__(
        self, source: Source, places: Mapping[layout.Offer, Path], coming: Coming, at_once: int
    ) -> None:
        #: Of all that came.
        self.bytes = 0
        self._source = source
        self._places = places
        self._coming = coming
        self._counting = threading.Lock()
        super().__init__(self._download, places, at_once)

    def settled(self, offer: layout.Offer) -> None:
        self._coming.drop(Patchset.key(offer.product, offer.name))

    def _download(self, offer: layout.Offer) -> None:
        path = self._places[offer]
        self._coming.add(Patchset.key(offer.product, offer.name))
        with disk_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            if not _is_whole(path, offer):
                path.unlink(missing_ok=True)
                self._source.fetch_archive(offer, path, progress=self._count)

    def _count(self, size: int) -> None:
        if self.stopping.is_set():
            raise _Stopped
        with self._counting:
            self.bytes += size


def fetch(portal: Portal, source: Source, offers: Sequence[layout.Offer]) -> Fetched:
    """Fetch and publish ``offers``, in no feed; one that fails is logged and the others go on.

    What came whole or in part is kept and gone on with next time.
    """
    done = Fetched()
    folder = portal.storage.patches_dir / "cache" / "downloads"
    places = {offer: folder / offer.product / offer.archive_name for offer in offers}
    _tidy(folder, places.values())
    if not places:
        return done
    try:
        _check_room(folder, places)
    except StorageError as refusal:
        log.error("%s", refusal)
        done.failed += [offer.name for offer in offers]
        return done
    total = sum(offer.size for offer in offers)
    archives = counted(len(places), "patchset")
    with telling(portal) as coming, progress_bar(f"Downloading {archives}") as show:
        downloads = _Downloads(source, places, coming, portal.config["DOWNLOADS_AT_ONCE"])
        try:
            left = len(places)
            while left:
                with suppress(Empty):
                    offer, ended = downloads.ended.get(timeout=_LOOK)
                    left -= 1
                    came = _publish(portal, offer, places[offer], ended)
                    (done.came if came else done.failed).append(offer.name)
                    downloads.settled(offer)
                if show:
                    show(min(downloads.bytes, total), total)
        finally:
            # They write what the next update goes on with.
            downloads.stop(wait=True)
    return done


def _publish(portal: Portal, offer: layout.Offer, path: Path, ended: Future[None]) -> bool:
    """Whether the archive came and was published."""
    try:
        ended.result()
        patchset = patchsets.receive(portal, portal.products[offer.product], path, offer.sha256)
        log.info("%s was downloaded", patchset.name)
        with disk_errors(path.parent):
            path.unlink()
    except PortalError as refusal:
        log.error("%s could not be had: %s", offer.name, refusal)
        return False
    return True


def _is_whole(path: Path, offer: layout.Offer) -> bool:
    if not path.is_file() or path.stat().st_size != offer.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == offer.sha256


def _tidy(folder: Path, wanted: Collection[Path]) -> None:
    """Remove what is left of downloads that nobody will go on with."""
    here = Patchset.select(Patchset.id)
    to_come = Offer.select().where(Offer.listed, Offer.id.not_in(here))
    kept = {*wanted, *(folder / row.product / row.archive for row in to_come)}
    with disk_errors(folder):
        for path in list(folder.glob("*/*")):
            archive = path.name.removesuffix(".json").removesuffix(".part")
            if path.with_name(archive) not in kept:
                path.unlink()


def _check_room(folder: Path, places: Mapping[layout.Offer, Path]) -> None:
    """An archive is kept, and what it holds is no smaller.

    Raises:
        StorageError: the disk has not enough room for all of them.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        room = shutil.disk_usage(folder).free
        have = sum(
            each.stat().st_size
            for path in places.values()
            for each in (path, path.with_name(f"{path.name}.part"))
            if each.is_file()
        )
    needed = 2 * sum(offer.size for offer in places) - have
    if needed > room:
        raise StorageError(
            f"{needed} bytes at least are needed for {counted(len(places), 'patchset')} at "
            f"{folder}, and the disk has {room}: free some space, or let LIMIT_PATCHSETS choose "
            f"fewer."
        )
