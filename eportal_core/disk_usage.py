"""What takes the room on the disk: by product, by feed, and what else there is."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from eportal_core import db
from eportal_core.models import ENABLED, Feed, FeedPatchset, Level, Patchset
from eportal_core.portal import Portal
from eportal_core.storage import disk_errors

#: st_blocks counts these, whatever the file system. Source: stat(2).
_BLOCK = 512


@dataclass
class ProductUsage:
    """Bytes of a product's archives with their manifests, and of the folders it keeps."""

    product: str
    patchsets: int = 0
    archives: int = 0
    trees: int = 0


@dataclass
class FeedUsage:
    """Bytes of the patchsets that are enabled in a feed, and of those that are in no other one.

    ``freed`` is what deleting the feed and then these patchsets gives back.
    """

    feed: str
    enabled: int = 0
    freed: int = 0


@dataclass
class Usage:
    """Bytes that are taken on the disk; a file with several names counts once.

    cache: what is fetched again when it is missed. staging: what is being deployed, or was when a
    command was killed. other: everything else in the folders of the portal. free: folder -> bytes,
    one for each file system.
    """

    products: list[ProductUsage]
    feeds: list[FeedUsage]
    cache: int = 0
    staging: int = 0
    database: int = 0
    other: int = 0
    free: dict[str, int] = field(default_factory=dict)


#: Product, target, level.
_LevelKey = tuple[str, str, int]


class _Scan:
    """Adds up files and folders, each once; links are not followed.

    What vanishes meanwhile is nothing.
    """

    def __init__(self) -> None:
        self._seen: set[tuple[int, int]] = set()

    def tree(self, path: str) -> int:
        """Bytes of a file, or of a folder with all in it that was not counted before."""
        with suppress(FileNotFoundError):
            found = os.lstat(path)
            own = self._count(found)
            if own is not None and stat.S_ISDIR(found.st_mode):
                return own + self._below(path)
            return own or 0
        return 0

    def one(self, path: str) -> int:
        """Bytes of a file, or of a folder without what is in it."""
        with suppress(FileNotFoundError):
            return self._count(os.lstat(path)) or 0
        return 0

    def entries(self, folder: str) -> Iterator[os.DirEntry[str]]:
        """What is in a folder; nothing when it is none."""
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
            yield from entries

    def _below(self, folder: str) -> int:
        total, waiting = 0, [folder]
        while waiting:
            for entry in self.entries(waiting.pop()):
                with suppress(FileNotFoundError):
                    size = self._count(entry.stat(follow_symlinks=False))
                    if size is None:
                        continue
                    total += size
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        return total

    def _count(self, found: os.stat_result) -> int | None:
        """Bytes on the disk; None for what was counted before."""
        if found.st_nlink > 1 or stat.S_ISDIR(found.st_mode):
            name = found.st_dev, found.st_ino
            if name in self._seen:
                return None
            self._seen.add(name)
        return found.st_blocks * _BLOCK


def usage(portal: Portal) -> Usage:
    """Look at every file of the portal; nothing is read but its size.

    Raises:
        StorageError: a folder cannot be read.
    """
    with disk_errors():
        return _usage(portal)


def _usage(portal: Portal) -> Usage:
    scan = _Scan()
    products = {name: ProductUsage(name) for name in portal.products}
    found = Usage(list(products.values()), [])
    archives = _archives(portal, scan, products, found)
    levels: dict[_LevelKey, int] = {}
    for tree in portal.trees():
        folder = portal.config.patches_dir / tree.folder
        products[tree.product].trees += (
            _tree(scan, folder, tree.product, levels) if tree.store else scan.tree(str(folder))
        )
    found.feeds = _feeds(archives, levels)
    _rest(portal, scan, found)
    found.free = _free(portal)
    return found


def _archives(
    portal: Portal, scan: _Scan, products: Mapping[str, ProductUsage], found: Usage
) -> dict[str, int]:
    """Bytes of archive and manifest of each patchset, by its id; what is nobody's is ``other``."""
    owners: dict[str, str] = {}
    sizes: dict[str, int] = {}
    rows = Patchset.select(Patchset.id, Patchset.product, Patchset.name, Patchset.archive)
    for patchset, product, name, archive in db.rows(rows):
        sizes[patchset] = 0
        owners[archive] = owners[f"{name}.meta.json"] = patchset
        if product in products:
            products[product].patchsets += 1
    found.other += scan.one(str(portal.storage.archives))
    for entry in scan.entries(str(portal.storage.archives)):
        size = scan.tree(entry.path)
        patchset = owners.get(entry.name, "")
        product = products.get(patchset.partition("/")[0])
        if product is None:
            found.other += size
        else:
            product.archives += size
            sizes[patchset] += size
    return sizes


def _tree(scan: _Scan, folder: Path, product: str, levels: dict[_LevelKey, int]) -> int:
    """Bytes of the folder of a product made of patchsets; ``levels`` gets those of each level."""
    total = scan.one(str(folder))
    for target in [] if folder.is_symlink() else scan.entries(str(folder)):
        total += scan.one(target.path)
        if not target.is_dir(follow_symlinks=False):
            continue
        for level in scan.entries(target.path):
            size = scan.tree(level.path)
            total += size
            # A folder, and for products of userspace a file ``<level>.tgz``.
            number = level.name.partition(".")[0]
            if number.isdecimal():
                key = product, target.name, int(number)
                levels[key] = levels.get(key, 0) + size
    return total


def _feeds(archives: Mapping[str, int], levels: Mapping[_LevelKey, int]) -> list[FeedUsage]:
    feeds = {name: FeedUsage(name) for (name,) in db.rows(Feed.select(Feed.name))}
    enabled: dict[str, set[str]] = {}
    members: dict[str, set[str]] = {}
    states = FeedPatchset.select(FeedPatchset.feed, FeedPatchset.patchset, FeedPatchset.state)
    for feed, patchset, state in db.rows(states):
        members.setdefault(patchset, set()).add(feed)
        if state == ENABLED:
            enabled.setdefault(patchset, set()).add(feed)
    for patchset, size in archives.items():
        _add(feeds, size, [patchset], enabled, members)
    for key, owners in _owners(levels):
        _add(feeds, levels[key], owners, enabled, members)
    return sorted(feeds.values(), key=lambda usage: usage.feed)


def _owners(levels: Mapping[_LevelKey, int]) -> Iterator[tuple[_LevelKey, list[str]]]:
    """Each level that is on the disk, and the patchsets that bring it."""
    owners: dict[_LevelKey, list[str]] = {}
    for patchset, target, level in db.rows(Level.select(Level.patchset, Level.target, Level.level)):
        key = patchset.partition("/")[0], target, level
        if key in levels:
            owners.setdefault(key, []).append(patchset)
    yield from owners.items()


def _add(
    feeds: Mapping[str, FeedUsage],
    size: int,
    owners: Sequence[str],
    enabled: Mapping[str, set[str]],
    members: Mapping[str, set[str]],
) -> None:
    """Add something that ``owners`` have in common to the feeds that it belongs to."""
    for feed in set[str]().union(*(enabled.get(owner, set()) for owner in owners)):
        if feed in feeds:
            feeds[feed].enabled += size
    needing = [members.get(owner, set()) for owner in owners]
    # What is in no feed at all is kept for another reason.
    if all(len(each) == 1 for each in needing) and len(set[str]().union(*needing)) == 1:
        (only,) = needing[0]
        if only in feeds:
            feeds[only].freed += size


def _rest(portal: Portal, scan: _Scan, found: Usage) -> None:
    """What was not counted yet."""
    roots = {portal.config.data_dir, portal.config.patches_dir}
    # One may lie in the other: the inner one first.
    for root in sorted(roots, key=lambda root: len(root.parts), reverse=True):
        found.other += scan.one(str(root))
        for entry in scan.entries(str(root)):
            size = scan.tree(entry.path)
            if entry.name == "cache":
                found.cache += size
            elif root / entry.name == portal.storage.staging:
                found.staging += size
            elif entry.name.startswith(db.FILE_NAME):
                found.database += size
            else:
                found.other += size


def _free(portal: Portal) -> dict[str, int]:
    devices: dict[int, Path] = {}
    for folder in (portal.config.data_dir, portal.config.patches_dir):
        devices.setdefault(folder.stat().st_dev, folder)
    return {str(folder): shutil.disk_usage(folder).free for folder in devices.values()}
