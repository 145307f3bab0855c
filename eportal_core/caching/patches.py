"""Patch files from the patch source, when an agent asks: each fetched once, verified, and kept."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from eportal_core.caching.copies import CachedLevel, Copies
from eportal_core.caching.flights import Flights
from eportal_core.caching.places import held
from eportal_core.caching.room import Room
from eportal_core.errors import ArchiveError, NotFound, SourceRefused, StorageError, UpstreamError
from eportal_core.patchsets.bundle import write_bundle
from eportal_core.patchsets.manifest import File, Target, decode
from eportal_core.portal import Portal
from eportal_core.source.client import Source, open_source
from eportal_core.storage import disk_errors

log = logging.getLogger("eportal.cache")

#: Seconds for which a patch source that did not answer is not asked for files again.
PAUSE = 30
#: So many files are fetched at a time, and so many may be waited for.
FETCHES = 4
WAITING_MAX = 2000
#: A download that stops is gone on with, so many times in all.
_TRIES = 5
#: Seconds between two lines about a source that fails.
_LOG_PERIOD = 300
#: Of so many levels it is remembered what files they have.
_REMEMBERED = 1024


@dataclass(frozen=True)
class Wanted:
    """A file of a level, or all of them in one when ``name`` is empty; ``files`` are its files."""

    level: CachedLevel
    name: str
    files: dict[str, File] = field(compare=False)


class PatchCache:
    """The cache of ``portal``; ``join`` is for one event loop, the rest for any thread."""

    def __init__(self, portal: Portal) -> None:
        config = portal.config
        self._portal = portal
        self._copies = Copies(config.data_dir / "cache")
        self._room = room_of(portal, self._copies)
        self._flights = Flights(self.fetch, at_once=FETCHES, waiting=WAITING_MAX)
        self._away_until = 0.0
        self._told: float | None = None
        self._lock = threading.Lock()
        self._entry = lru_cache(_REMEMBERED)(_entry)

    def find(self, level: CachedLevel, name: str) -> Path | None:
        """The file, if it came before."""
        return self._copies.find(level, name)

    def wanted(self, level: CachedLevel, name: str, manifest: Path) -> Wanted | None:
        """What to wait for; None when the level has no such file, as ``manifest`` tells.

        Raises:
            ArchiveError, OSError: the manifest cannot be used.
        """
        files = self._entry(level, manifest).files
        return Wanted(level, name, files) if not name or name in files else None

    async def join(self, wanted: Wanted, seconds: float) -> None:
        """Wait until ``find`` finds it, at most ``seconds``; however many wait, one fetches.

        Raises:
            TimeoutError: they have passed; it goes on.
            PortalError: it cannot be had now.
        """
        await self._flights.join(wanted, seconds)

    def fetch(self, wanted: Wanted) -> None:
        """Let ``find`` find it: the work of one flight.

        Raises:
            NotFound: the source has no such file.
            SourceRefused: it is not what the manifest says.
            UpstreamError, NoSource, InvalidValue: the source cannot be asked.
            StorageError: the disk refused.
        """
        if time.monotonic() < self._away_until:
            raise UpstreamError("The patch source did not answer a moment ago.")
        with self._told_of(), open_source(self._portal, alone=False) as source:
            if wanted.name:
                self._bring(source, wanted.level, wanted.name, wanted.files[wanted.name])
            else:
                self._bundle(source, wanted)

    def _bring(self, source: Source, level: CachedLevel, name: str, file: File) -> Path:
        """The copy of a file, fetched unless it is here."""
        place = self._copies.place(level, name)
        with held(place):
            # Another process, or a bundle, may have been faster.
            if (found := self._copies.find(level, name)) is not None:
                return found
            if file.size > self._room.for_one_file():
                raise StorageError(
                    f"{level.stored(name)} has {file.size} bytes: there is not enough room for it "
                    f"on the disk, or below CACHE_MAX_SIZE."
                )
            self._download(source, level, name, file, place)
            kept = self._copies.keep(place, level, name)
        self._room.add(file.size)
        return kept

    def _download(
        self, source: Source, level: CachedLevel, name: str, file: File, place: Path
    ) -> None:
        """Fetch a file to ``place``, going on for as long as more of it comes each time."""
        for left in reversed(range(_TRIES)):
            before = _part_size(place)
            try:
                source.fetch_file(level.stored(name), file, place)
                return
            except SourceRefused:
                raise
            except UpstreamError as error:
                if error.answered in (404, 410):
                    raise NotFound(str(error)) from error
                came = _part_size(place)
                if not error.answered and came <= before:
                    self._away_until = time.monotonic() + PAUSE
                if error.answered or came <= before or not left:
                    self._room.add(came)
                    raise

    def _bundle(self, source: Source, wanted: Wanted) -> None:
        """Fetch the files and make the bundle; they stay for as long as any other."""
        level, place = wanted.level, self._copies.place(wanted.level, "")
        with held(place), disk_errors(place):
            if self._copies.find(level, "") is not None:
                return
            folder = self._copies.workspace(level)
            for name, file in sorted(wanted.files.items()):
                # From here on it is there, even if it is evicted.
                os.link(self._bring(source, level, name, file), folder / name)
            place.unlink(missing_ok=True)
            write_bundle(place, level.target, folder)
            _sync(place)
            size = place.stat().st_size
            self._copies.keep(place, level, "")
            shutil.rmtree(folder.parent, ignore_errors=True)
        self._room.add(size)

    @contextmanager
    def _told_of(self) -> Iterator[None]:
        """Say in the log what fails: a source that is away once in a while, all else each time."""
        try:
            yield
        except (NotFound, SourceRefused, StorageError) as error:
            log.error("%s", error)
            raise
        except UpstreamError as error:
            with self._lock:
                now = time.monotonic()
                if self._told is None or now - self._told > _LOG_PERIOD:
                    self._told = now
                    log.warning("%s What is in the cache is served.", error)
            raise
        with self._lock:
            if self._told is not None:
                self._told = None
                log.info("The patch source answers again")


def room_of(portal: Portal, copies: Copies, is_known: Callable[[Path], bool] | None = None) -> Room:
    """Keeps the copies below CACHE_MAX_SIZE, and none for longer than CACHE_KEEP unused.

    is_known: of a folder of copies that may stay.
    """
    limit, keep = portal.config["CACHE_MAX_SIZE"], portal.config["CACHE_KEEP"]
    return Room(copies.folder, limit, FETCHES, lambda: copies.evict(limit, keep, is_known))


def _entry(level: CachedLevel, manifest: Path) -> Target:
    """What ``manifest`` says of a level, if it is this one."""
    entry = decode(manifest.read_bytes()).targets.get(level.target)
    if entry is None or (entry.level, entry.digest()) != (level.level, level.digest):
        raise ArchiveError(f"{manifest} was changed for {level.target}.")
    return entry


def _part_size(place: Path) -> int:
    """Bytes that came before a download stopped."""
    with suppress(FileNotFoundError):
        return place.with_name(f"{place.name}.part").stat().st_size
    return 0


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
