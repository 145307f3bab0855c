"""How much disk the copies may take, and which of them go."""

from __future__ import annotations

import fcntl
import math
import os
import shutil
import threading
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from eportal_core import Portal, StorageError, disk_errors
from eportal_kernelcare.packages.flights import FETCHES

#: Bytes that one file may have, whatever the size of the cache.
FILE_MAX = 4 * 1024**3
#: Bytes that stay free on the disk, which is the database's as well.
RESERVE = 256 * 1024**2
#: After an eviction, the cache is this full.
_FILL = 0.9
#: So many files may be added before the folder is counted again; other processes add as well.
_COUNT_PERIOD = 64
#: Seconds after which a download nobody went on with, or bytes no entry names, are removed.
_PARTIAL_AGE = 7 * 24 * 3600
_ORPHAN_AGE = 3600
_FOLDERS = ("files", "partial")


def cache_folder(portal: Portal) -> Path:
    """Where the copies of this portal are."""
    return portal.config.data_dir / "cache" / "repo"


def used(folder: Path) -> int:
    """Bytes that the copies in ``folder`` have, and the downloads that are under way."""
    return sum(stat.st_size for each in _FOLDERS for _, stat in _stats(folder / each))


class Room:
    """Keeps ``folder`` below ``limit`` bytes."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
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
        return min(FILE_MAX, self._limit, free // FETCHES)

    def add(self, size: int) -> None:
        """A file of ``size`` bytes, or a part of one, came: let others go if it is too much now."""
        with self._lock:
            self._bytes += size
            self._added += 1
            if self._bytes > self._limit or self._added >= _COUNT_PERIOD:
                self._bytes = evict(self._folder, self._limit)
                self._added = 0


def evict(folder: Path, limit: int) -> int:
    """Remove leftovers, and copies least recently used while there are too many bytes.

    Returns the bytes that are left. Another process that is at it is not waited for.
    """
    with disk_errors(folder), (folder / "evict.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        copies = _copies(folder / "files")
        kept = sum(size for _, size, _ in copies)
        left = kept + _sweep_partial(folder / "partial", limit - kept)
        if left > limit:
            for _, size, files in sorted(copies):
                if left <= limit * _FILL:
                    break
                for file in files:
                    file.unlink(missing_ok=True)
                left -= size
        return left


def _copies(folder: Path) -> list[tuple[float, int, list[Path]]]:
    """When each copy was last used, its bytes, and its files, the entry first."""
    files: defaultdict[str, list[tuple[Path, os.stat_result]]] = defaultdict(list)
    for file, stat in _stats(folder):
        files[file.name.partition(".")[0]].append((file, stat))
    copies = []
    for found in files.values():
        found.sort(key=lambda each: each[0].suffix != ".json")
        entry, stat = found[0]
        last_used = stat.st_mtime
        if entry.suffix != ".json":
            # Its entry is about to come, unless a crash prevented that.
            _remove_old(found, _ORPHAN_AGE)
            last_used = stat.st_ctime
        elif len(found) > 2:
            named = _text(entry)
            _remove_old([each for each in found[1:] if each[0].name not in named], _ORPHAN_AGE)
        size = sum(stat.st_size for _, stat in found)
        copies.append((last_used, size, [file for file, _ in found]))
    return copies


def _sweep_partial(folder: Path, limit: int) -> int:
    """Bytes of downloads that are under way, or may be gone on with.

    Those that nobody goes on with give way first, before any whole copy: the oldest ones, while
    there are more than ``limit`` bytes.
    """
    found = _stats(folder)
    _remove_old(found, _PARTIAL_AGE)
    left = sum(stat.st_size for _, stat in found)
    for file, stat in sorted(found, key=lambda each: each[1].st_ctime):
        if left > limit and file.suffix == ".part" and _dropped(file):
            left -= stat.st_size
    return left


def _dropped(part: Path) -> bool:
    """Remove what came of a file, unless it is being fetched; whether it was removed."""
    name = part.with_suffix(".lock")
    with name.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its holder removes it; whoever came then has a lock of the same name.
            if not os.path.samestat(name.stat(), os.fstat(lock.fileno())):
                return False
        except (BlockingIOError, FileNotFoundError):
            return False
        part.unlink(missing_ok=True)
        part.with_name(f"{part.name}.json").unlink(missing_ok=True)
        name.unlink(missing_ok=True)
    return True


def _remove_old(found: list[tuple[Path, os.stat_result]], age: float) -> None:
    for file, stat in found:
        # The time of its last change here: that of its content is the upstream's.
        if time.time() - stat.st_ctime > age:
            file.unlink(missing_ok=True)


def _text(file: Path) -> str:
    with suppress(FileNotFoundError):
        return file.read_text(errors="replace")
    return ""


def _stats(folder: Path) -> list[tuple[Path, os.stat_result]]:
    stats = []
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                stats.append((Path(entry.path), entry.stat()))
    return stats
