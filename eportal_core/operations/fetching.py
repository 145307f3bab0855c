"""Fetch archives that the source lists, several at once, and publish each as it comes."""

from __future__ import annotations

import hashlib
import logging
import shutil
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from eportal_core.errors import PortalError, StorageError
from eportal_core.models import Offer, Patchset
from eportal_core.operations import patchsets
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
            count = len(self.came) + len(self.failed)
            raise PortalError(
                f"{len(self.failed)} of {count} patchsets could not be had: "
                f"{', '.join(self.failed[:5])}{', …' if len(self.failed) > 5 else ''}."
            )


class _Stopped(Exception):
    """A download is given up, because nobody waits for it."""


class _Downloads:
    """Threads that download to ``places``; what ended is told, with its error, in ``ended``.

    They are daemons: a process that is to end waits for none of them.
    """

    def __init__(self, source: Source, places: Mapping[Path, layout.Offer], at_once: int) -> None:
        self.ended: SimpleQueue[tuple[Path, Exception | None]] = SimpleQueue()
        #: Of all that came.
        self.bytes = 0
        self._source = source
        self._waiting = iter(places.items())
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name="download", daemon=True)
            for _ in range(min(at_once, len(places)))
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End at the next piece of each, and return when they have ended."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while not self._stopping.is_set():
            with self._lock:
                path, offer = next(self._waiting, (None, None))
            if path is None or offer is None:
                return
            try:
                self._download(path, offer)
            # Whatever it is, whoever waits for this one has to hear of it.
            except Exception as error:
                self.ended.put((path, error))
            else:
                self.ended.put((path, None))

    def _download(self, path: Path, offer: layout.Offer) -> None:
        with disk_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            if not _is_whole(path, offer):
                path.unlink(missing_ok=True)
                self._source.fetch_archive(offer, path, progress=self._count)

    def _count(self, size: int) -> None:
        if self._stopping.is_set():
            raise _Stopped
        with self._lock:
            self.bytes += size


def fetch(portal: Portal, source: Source, offers: Sequence[layout.Offer]) -> Fetched:
    """Fetch and publish ``offers``, in no feed; one that fails is logged and the others go on.

    What came whole or in part is kept and gone on with next time.
    """
    done = Fetched()
    folder = portal.storage.patches_dir / "cache" / "downloads"
    places = {folder / offer.product / offer.archive_name: offer for offer in offers}
    _tidy(folder, places.keys())
    if not places:
        return done
    try:
        _check_room(folder, places)
    except StorageError as refusal:
        log.error("%s", refusal)
        done.failed += [offer.name for offer in offers]
        return done
    downloads = _Downloads(source, places, portal.config["DOWNLOADS_AT_ONCE"])
    total = sum(offer.size for offer in offers)
    try:
        with progress_bar(f"Downloading {_counted(len(places))}") as show:
            left = len(places)
            while left:
                with suppress(Empty):
                    path, error = downloads.ended.get(timeout=_LOOK)
                    left -= 1
                    came = _publish(portal, places[path], path, error)
                    (done.came if came else done.failed).append(places[path].name)
                if show:
                    show(min(downloads.bytes, total), total)
    finally:
        downloads.stop()
    return done


def _publish(portal: Portal, offer: layout.Offer, path: Path, error: Exception | None) -> bool:
    """Whether the archive came and was published."""
    try:
        if error is not None:
            raise error
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


def _check_room(folder: Path, places: Mapping[Path, layout.Offer]) -> None:
    """An archive is kept, and what it holds is no smaller.

    Raises:
        StorageError: the disk has not enough room for all of them.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        room = shutil.disk_usage(folder).free
        have = sum(
            each.stat().st_size
            for path in places
            for each in (path, path.with_name(f"{path.name}.part"))
            if each.is_file()
        )
    needed = 2 * sum(offer.size for offer in places.values()) - have
    if needed > room:
        raise StorageError(
            f"{needed} bytes at least are needed for {_counted(len(places))} at {folder}, and the "
            f"disk has {room}: free some space, or let LIMIT_PATCHSETS choose fewer."
        )


def _counted(count: int) -> str:
    return f"{count} patchset{'s' if count > 1 else ''}"
