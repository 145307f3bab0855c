"""How much disk the copies may take, and which of them go."""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from eportal_core import Portal, Room, file_stats, remove_old, sweep_partial

#: So many files are fetched at a time.
FETCHES = 4
#: After an eviction, the cache is this full.
_FILL = 0.9
#: Seconds after which bytes that no entry names are removed.
_ORPHAN_AGE = 3600
_FOLDERS = ("files", "partial")


def cache_folder(portal: Portal) -> Path:
    """Where the copies of this portal are."""
    return portal.config.data_dir / "cache" / "repo"


def used(folder: Path) -> int:
    """Bytes that the copies in ``folder`` have, and the downloads that are under way."""
    return sum(stat.st_size for each in _FOLDERS for _, stat in file_stats(folder / each))


def room_of(folder: Path, limit: int) -> Room:
    """Keeps the copies in ``folder`` below ``limit`` bytes."""
    return Room(folder, limit, FETCHES, lambda: _evict(folder, limit))


def _evict(folder: Path, limit: int) -> int:
    """Remove leftovers, and copies least recently used while there are too many bytes."""
    copies = _copies(folder / "files")
    kept = sum(size for _, size, _ in copies)
    left = kept + sweep_partial(folder / "partial", limit - kept)
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
    for file, stat in file_stats(folder):
        files[file.name.partition(".")[0]].append((file, stat))
    copies = []
    for found in files.values():
        found.sort(key=lambda each: each[0].suffix != ".json")
        entry, stat = found[0]
        last_used = stat.st_mtime
        if entry.suffix != ".json":
            # Its entry is about to come, unless a crash prevented that.
            remove_old(found, _ORPHAN_AGE)
            last_used = stat.st_ctime
        elif len(found) > 2:
            named = _text(entry)
            remove_old([each for each in found[1:] if each[0].name not in named], _ORPHAN_AGE)
        size = sum(stat.st_size for _, stat in found)
        copies.append((last_used, size, [file for file, _ in found]))
    return copies


def _text(file: Path) -> str:
    with suppress(FileNotFoundError):
        return file.read_text(errors="replace")
    return ""
