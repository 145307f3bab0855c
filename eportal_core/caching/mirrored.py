"""Files of the patch source for portals below: those that are here, and the others when asked for.

What is handed on is proved by the metadata, as the reader will prove it again: archives and
manifests are listed there, and patch files by the manifests. What is not here, or not with those
bytes, is fetched, verified and kept as patch files are in cache mode. Which levels a manifest has
is remembered, so that names that nobody lists cost neither reading nor fetching.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import msgspec

from eportal_core.caching.copies import CachedLevel, CachedTarget
from eportal_core.caching.flights import Flights
from eportal_core.caching.patches import FETCHES, WAITING_MAX, PatchCache, Wanted
from eportal_core.errors import ArchiveError, NotFound, PortalError, UpstreamError
from eportal_core.patchsets.manifest import File, Target, decode
from eportal_core.portal import Portal
from eportal_core.source.mirror import Listed, Mirror

#: Of so many files, manifests and levels it is remembered what is in them.
_REMEMBERED = 1 << 14
_PATCH_FILE = re.compile(r"([^/]+)/files/([^/]+)/([1-9][0-9]{0,9})/([^/]+)")
_READING = threading.Lock()
_UNKNOWN = "The patch source lists no such file."
_UNREAD = "Not all manifests could be read that may list this file."


class _Level(msgspec.Struct):
    level: int


class _Outline(msgspec.Struct):
    """What is looked at first of a manifest; all of it would take ten times as long."""

    targets: dict[str, _Level]


class _NotHere(NotFound):
    """A manifest is listed, and not here."""


class MirroredFiles:
    """What ``mirror`` lists; ``join`` is for one event loop, the rest for any thread.

    It has flights of its own: archives that others wait for hold up no agent of this portal.
    """

    def __init__(self, portal: Portal, mirror: Mirror) -> None:
        self._mirror = mirror
        self._archives = portal.storage.archives
        self._stores = portal.stores()
        self._cache = PatchCache(portal)
        self._levels: dict[str, array[int]] = {}
        self._entry = lru_cache(_REMEMBERED)(self._read_entry)
        self._flights = Flights(self._fetch, at_once=FETCHES, waiting=WAITING_MAX)

    def find(self, path: str) -> Path | None:
        """The file that is ``path`` below ``targets/``; None while it has to be fetched.

        Raises:
            NotFound: nothing lists it.
            PortalError: as ``Mirror``.
        """
        listed = self._mirror.target(path)
        if listed is not None:
            return self._target(listed)
        product, target, level, name = _patch_file(path)
        manifest = self._bringing(product, target, level)
        if manifest is None:
            if any(self._unread(product)):
                return None
            raise NotFound(_UNKNOWN)
        try:
            entry = self._entry(manifest, target)
        except _NotHere:
            return None
        return self._file(product, target, entry, name)

    async def join(self, path: str, seconds: float) -> None:
        """Wait until ``find`` finds it, at most ``seconds``; however many wait, one fetches.

        Raises:
            TimeoutError: they have passed; it goes on.
            PortalError: it cannot be had now.
        """
        async with asyncio.timeout(seconds):
            if _PATCH_FILE.fullmatch(path):
                # Once for all levels of the product, and one that cannot be had spoils no other.
                with suppress(PortalError):
                    await self._flights.join(path.partition("/")[0], seconds)
            await self._flights.join(path, seconds)

    def _fetch(self, path: str) -> None:
        if "/" not in path:
            self._read_manifests(path)
            return
        listed = self._mirror.target(path)
        if listed is not None:
            self._cache.fetch(_wanted(listed))
            return
        product, target, level, name = _patch_file(path)
        manifest = self._bringing(product, target, level)
        if manifest is None:
            raise UpstreamError(_UNREAD) if any(self._unread(product)) else NotFound(_UNKNOWN)
        self._bring(manifest)
        entry = self._entry(manifest, target)
        if self._file(product, target, entry, name) is None:
            self._cache.fetch(Wanted(_cached(product, target, entry), name, entry.files))

    def _read_manifests(self, product: str) -> None:
        """Learn which levels there are."""
        refusal = None
        for manifest in self._unread(product):
            try:
                self._bring(manifest)
                self._levels[manifest.file.sha256] = _marks(self._read(manifest))
            except PortalError as error:
                refusal = error
        if refusal is not None:
            raise refusal

    def _bring(self, manifest: Listed) -> None:
        if self._target(manifest) is None:
            self._cache.fetch(_wanted(manifest))

    def _bringing(self, product: str, target: str, level: int) -> Listed | None:
        """The newest listed manifest that has a level, among those that were read."""
        mark = _mark(target, level)
        for manifest in self._mirror.manifests(product):
            levels = self._levels.get(manifest.file.sha256, ())
            at = bisect_left(levels, mark)
            if at < len(levels) and levels[at] == mark:
                return manifest
        return None

    def _unread(self, product: str) -> Iterator[Listed]:
        """The manifests of which it is not known what is in them."""
        listed = self._mirror.manifests(product)
        return (each for each in listed if each.file.sha256 not in self._levels)

    def _target(self, listed: Listed) -> Path | None:
        """An archive or manifest with the listed bytes, if there is one here."""
        path = self._archives / listed.name
        if _holds(path, listed.file):
            return path
        wanted = _wanted(listed)
        return self._cache.find(wanted.level, wanted.name)

    def _file(self, product: str, target: str, entry: Target, name: str) -> Path | None:
        """A patch file with the bytes of its manifest, if there is one here.

        Raises:
            NotFound: the level has no such file.
        """
        if name not in entry.files:
            raise NotFound(_UNKNOWN)
        store = self._stores.get(product)
        path = store and store.file(target, entry.level, name)
        if path and _holds(path, entry.files[name]):
            return path
        return self._cache.find(_cached(product, target, entry), name)

    def _read_entry(self, manifest: Listed, target: str) -> Target:
        """What a manifest says of a target.

        Raises:
            NotFound: nothing, or the manifest is not here, or it is none.
        """
        data = self._read(manifest)
        with suppress(ArchiveError):
            if (entry := decode(data).targets.get(target)) is not None:
                return entry
        raise NotFound(_UNKNOWN)

    def _read(self, manifest: Listed) -> bytes:
        """Raises _NotHere."""
        path = self._target(manifest)
        # It may be evicted meanwhile.
        with suppress(FileNotFoundError):
            if path is not None:
                return path.read_bytes()
        raise _NotHere(_UNKNOWN)


def _patch_file(path: str) -> tuple[str, str, int, str]:
    """Product, target, level and name.

    Raises:
        NotFound: no patch file has such a path.
    """
    found = _PATCH_FILE.fullmatch(path)
    if found is None:
        raise NotFound(_UNKNOWN)
    product, target, level, name = found.groups()
    return product, target, int(level), name


def _wanted(listed: Listed) -> Wanted:
    name = listed.path.rpartition("/")[2]
    level = CachedTarget(listed.product, "target", 0, listed.file.sha256)
    return Wanted(level, name, {name: listed.file})


def _cached(product: str, target: str, entry: Target) -> CachedLevel:
    return CachedLevel(product, target, entry.level, entry.digest())


def _marks(manifest: bytes) -> array[int]:
    """Of all levels that it brings, sorted; none when a publisher signed what is no manifest."""
    found: dict[str, _Level] = {}
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = msgspec.json.decode(manifest, type=_Outline).targets
    return array("q", sorted(_mark(target, each.level) for target, each in found.items()))


def _mark(target: str, level: int) -> int:
    """Eight bytes instead of a target and a level."""
    return hash((target, level))


def _holds(path: Path, file: File) -> bool:
    """Whether these very bytes are at ``path``."""
    try:
        found = path.stat()
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if found.st_size != file.size:
            return False
        # Many ask for a new archive at once, and it is large: one of them reads it.
        with _READING:
            return _sha256(path, stamp) == file.sha256
    except OSError:
        return False


@lru_cache(_REMEMBERED)
def _sha256(path: Path, stamp: tuple[int, ...]) -> str:
    """Of what is at ``path`` for as long as it has this stamp."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
