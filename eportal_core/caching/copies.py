"""Files of a patch source that came when they were asked for, as they lie below ``DATA_DIR``.

``cache/files/<product>/<target>.<level>.<digest>/<file>``, and all of a level in one below
``….bundle/``. The digest is that of the level's files (``manifest.Target.digest``): the same path
is the same bytes for ever. A folder was used last when its time says; it goes as a whole. Files are
fetched to ``cache/partial`` and renamed: a crash leaves a whole file or none. Several processes may
share it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from eportal_core import db
from eportal_core.caching.room import FILL, file_stats, sweep_partial
from eportal_core.errors import StorageError
from eportal_core.models import Level, of_product
from eportal_core.patchsets.bundle import BUNDLE_NAME
from eportal_core.source.layout import file_path
from eportal_core.storage import disk_errors, sync_folder

#: How exactly it is known when a folder was last used, seconds.
_USE_PERIOD = 60
#: A folder that was used so lately stays, whatever the room: somebody is about to open its files.
_IN_USE = 120
#: A workspace that is so old belongs to nobody any more, seconds.
_ABANDONED = 24 * 3600
#: Digits of a digest that tell two levels of one number apart.
_DIGITS = 16
_BUNDLE = ".bundle"


@dataclass(frozen=True)
class CachedLevel:
    """A level that a patchset brings; ``digest`` names its bytes."""

    product: str
    target: str
    level: int
    digest: str

    def __str__(self) -> str:
        return f"{self.target}.{self.level}.{self.digest[:_DIGITS]}"

    def stored(self, name: str) -> str:
        """Where a patch source has a file of it, below ``targets/``."""
        return file_path(self.product, self.target, self.level, name)


class CachedTarget(CachedLevel):
    """An archive or a manifest: the one file of a level that nobody has; ``digest`` is its own."""

    def stored(self, name: str) -> str:
        return f"{self.product}/{name}"


class Copies:
    """The copies below ``cache``; methods may be called in any thread. ``""`` is the bundle."""

    def __init__(self, cache: Path) -> None:
        self.folder = cache / "files"
        self._partial = cache / "partial"
        self._building = cache / "building"

    def find(self, level: CachedLevel, name: str) -> Path | None:
        """The copy of a file of ``level``, and note that it was asked for."""
        path = self._path(level, name)
        with suppress(FileNotFoundError, NotADirectoryError):
            path.stat()
            if abs(time.time() - path.parent.stat().st_mtime) > _USE_PERIOD:
                os.utime(path.parent)
            return path
        return None

    def place(self, level: CachedLevel, name: str) -> Path:
        """Where a file of ``level`` is fetched to."""
        key = f"{level.product}\n{level}\n{level.digest}\n{name}"
        return self._partial / hashlib.sha256(key.encode()).hexdigest()

    def workspace(self, level: CachedLevel) -> Path:
        """A folder, named by the level's number, for whoever holds the place of its bundle."""
        folder = self._building / level.product / str(level) / str(level.level)
        shutil.rmtree(folder.parent, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def keep(self, came: Path, level: CachedLevel, name: str) -> Path:
        """Make the durable file that ``came`` the copy, and return where that is.

        Raises:
            StorageError: the disk refused.
        """
        path = self._path(level, name)
        with disk_errors(path):
            for _ in range(3):
                path.parent.mkdir(parents=True, exist_ok=True)
                # An eviction may take the empty folder away.
                with suppress(FileNotFoundError):
                    came.rename(path)
                    sync_folder(path.parent)
                    return path
        raise StorageError(f"{path} could not be made.")

    def evict(self, limit: int, keep: int, is_known: Callable[[Path], bool] | None = None) -> int:
        """Remove what was not used for ``keep`` seconds, then what was used the longest ago.

        The latter while there are more than ``limit`` bytes. is_known: of a folder that may stay.
        Returns the bytes that are left.
        """
        now = time.time()
        self._tidy(now)
        kept = []
        for folder, used in self._folders():
            if now - used > keep or (is_known and not is_known(folder)):
                _remove(folder)
            else:
                kept.append((used, sum(stat.st_size for _, stat in file_stats(folder)), folder))
        whole = sum(size for _, size, _ in kept)
        left = whole + sweep_partial(self._partial, limit - whole)
        if left > limit:
            for used, size, folder in sorted(kept):
                if left <= limit * FILL or now - used < _IN_USE:
                    break
                _remove(folder)
                left -= size
        return left

    def _tidy(self, now: float) -> None:
        """Remove the workspaces of those who were killed."""
        for product, _ in file_stats(self._building):
            for folder, stat in file_stats(product):
                if now - stat.st_mtime > _ABANDONED:
                    shutil.rmtree(folder, ignore_errors=True)

    def _folders(self) -> Iterator[tuple[Path, float]]:
        """The folder of each level or bundle, and when it was used last."""
        for product, _ in file_stats(self.folder):
            if product.is_dir():
                yield from ((folder, stat.st_mtime) for folder, stat in file_stats(product))

    def _path(self, level: CachedLevel, name: str) -> Path:
        folder = self.folder / level.product / f"{level}{'' if name else _BUNDLE}"
        return folder / (name or BUNDLE_NAME)


def is_known(folder: Path) -> bool:
    """Whether a patchset that is here brings the level of ``folder``; asks the database."""
    target, number, digest = ["", "", *folder.name.removesuffix(_BUNDLE).rsplit(".", 2)][-3:]
    if not number.isdecimal():
        return False
    rows = Level.select(Level.digest).where(
        Level.target == target,
        Level.level == int(number),
        of_product(Level.patchset, folder.parent.name),
    )
    return any(known.startswith(digest) for (known,) in db.rows(rows))


def _remove(folder: Path) -> None:
    """Who has opened a file of it reads it to the end."""
    for file, _ in file_stats(folder):
        file.unlink(missing_ok=True)
    # One may have come meanwhile.
    with suppress(OSError):
        folder.rmdir()
