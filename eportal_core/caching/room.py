"""How much disk cached files may take; which of them go first is their owner's business."""

from __future__ import annotations

import fcntl
import math
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from eportal_core.caching.places import dropped
from eportal_core.errors import StorageError
from eportal_core.storage import disk_errors

#: Bytes that one file may have, whatever the size of the cache.
FILE_MAX = 4 * 1024**3
#: Bytes that stay free on the disk, which is the database's as well.
RESERVE = 256 * 1024**2
#: After an eviction, the cache is this full.
FILL = 0.9
#: So many files may be added before the folder is counted again; other processes add as well.
_COUNT_PERIOD = 64
#: Seconds after which a download nobody went on with is removed.
_PARTIAL_AGE = 7 * 24 * 3600


class Room:
    """Keeps ``folder`` below ``limit`` bytes, while at most ``at_once`` files come to it.

    evict: removes what is too much and returns the bytes that are left. One process does that at
    a time; another one does not wait.
    """

    def __init__(self, folder: Path, limit: int, at_once: int, evict: Callable[[], int]) -> None:
        self._folder = folder
        self._limit = limit
        self._at_once = at_once
        self._evict = evict
        self._lock = threading.Lock()
        self._bytes = math.inf
        self._added = 0

    def for_one_file(self) -> int:
        """Bytes that the next file may have, while others come that have as many.

        Raises:
            StorageError: the disk is nearly full.
        """
        with disk_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self._folder).free - RESERVE
        if free <= 0:
            raise StorageError(f"The disk of {self._folder} is nearly full; free some space.")
        return min(FILE_MAX, self._limit, free // self._at_once)

    def add(self, size: int) -> None:
        """A file of ``size`` bytes, or a part of one, came: let others go if it is too much now."""
        with self._lock:
            self._bytes += size
            self._added += 1
            if self._bytes > self._limit or self._added >= _COUNT_PERIOD:
                self._bytes = self.evict()
                self._added = 0

    def evict(self) -> int:
        """Remove what is too much now; returns the bytes that are left, 0 if another is at it."""
        with disk_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / "evict.lock").open("a") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return 0
                return self._evict()


def sweep_partial(folder: Path, limit: float) -> int:
    """Bytes in ``folder`` of downloads that are under way, or may be gone on with.

    Those that nobody goes on with give way first, before any whole file: the oldest ones, while
    there are more than ``limit`` bytes.
    """
    found = file_stats(folder)
    remove_old(found, _PARTIAL_AGE)
    left = sum(stat.st_size for _, stat in found)
    for file, stat in sorted(found, key=lambda each: each[1].st_ctime):
        if left > limit and file.suffix == ".part" and dropped(file):
            left -= stat.st_size
    return left


def remove_old(found: Iterable[tuple[Path, os.stat_result]], age: float) -> None:
    """Remove the files of ``found`` that were not changed for ``age`` seconds."""
    for file, stat in found:
        # The time of its last change here: that of its content may be the upstream's.
        if time.time() - stat.st_ctime > age:
            file.unlink(missing_ok=True)


def file_stats(folder: Path) -> list[tuple[Path, os.stat_result]]:
    """Everything in ``folder`` and what it is; none of it when there is no such folder."""
    found = []
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                found.append((Path(entry.path), entry.stat()))
    return found
