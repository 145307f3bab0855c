"""Files of the patch source for portals below: those that are here, and the others when asked for.

What is handed on is proved by the metadata, as the reader will prove it again: archives and
manifests are listed there, and patch files by the manifests. What is not here, or not with those
bytes, is fetched, verified and kept as patch files are in cache mode.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from eportal_core.caching.copies import CachedLevel, CachedTarget
from eportal_core.caching.flights import Flights
from eportal_core.caching.patches import FETCHES, WAITING_MAX, PatchCache, Wanted
from eportal_core.errors import ArchiveError, NotFound, PortalError
from eportal_core.patchsets.manifest import File, Target, decode
from eportal_core.portal import Portal
from eportal_core.source.mirror import Listed, Mirror

#: Of so many files and levels it is remembered what is in them.
_REMEMBERED = 1 << 14
_PATCH_FILE = re.compile(r"([^/]+)/files/([^/]+)/([1-9][0-9]{0,9})/([^/]+)")
_UNKNOWN = "The patch source lists no such file."


class MirroredFiles:
    """What ``mirror`` lists; ``join`` is for one event loop, the rest for any thread.

    It has flights of its own: archives that others wait for hold up no agent of this portal.
    """

    def __init__(self, portal: Portal, mirror: Mirror) -> None:
        self._mirror = mirror
        self._archives = portal.storage.archives
        self._stores = portal.stores()
        self._cache = PatchCache(portal)
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
        try:
            return self._file(product, target, self._entry(product, target, level), name)
        except NotFound:
            if any(self._lacking(product)):
                return None
            raise

    async def join(self, path: str, seconds: float) -> None:
        """Wait until ``find`` finds it, at most ``seconds``; however many wait, one fetches.

        Raises:
            TimeoutError: they have passed; it goes on.
            PortalError: it cannot be had now.
        """
        await self._flights.join(path, seconds)

    def _fetch(self, path: str) -> None:
        listed = self._mirror.target(path)
        if listed is not None:
            self._cache.fetch(_wanted(listed))
            return
        product, target, level, name = _patch_file(path)
        refusal = None
        for manifest in self._lacking(product):
            try:
                self._cache.fetch(_wanted(manifest))
            except PortalError as error:
                refusal = error
        try:
            entry = self._entry(product, target, level)
            if self._file(product, target, entry, name) is None:
                self._cache.fetch(Wanted(_cached(product, target, entry), name, entry.files))
        except NotFound as error:
            raise refusal or error from None

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

    def _read_entry(self, product: str, target: str, level: int) -> Target:
        """What the manifests that are here say of a level, which is true for ever.

        Raises:
            NotFound: none of them has it.
        """
        needle = f'"{target}"'.encode()
        for manifest in self._mirror.manifests(product):
            path = self._target(manifest)
            # It may be evicted meanwhile, and a publisher may sign what is no manifest.
            with suppress(FileNotFoundError, ArchiveError):
                if path is not None and needle in (data := path.read_bytes()):
                    entry = decode(data).targets.get(target)
                    if entry is not None and entry.level == level:
                        return entry
        raise NotFound(_UNKNOWN)

    def _lacking(self, product: str) -> Iterator[Listed]:
        """The manifests that are not here."""
        return (each for each in self._mirror.manifests(product) if self._target(each) is None)


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


def _holds(path: Path, file: File) -> bool:
    """Whether these very bytes are at ``path``."""
    try:
        found = path.stat()
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        return found.st_size == file.size and _sha256(path, stamp) == file.sha256
    except OSError:
        return False


@lru_cache(_REMEMBERED)
def _sha256(path: Path, stamp: tuple[int, ...]) -> str:
    """Of what is at ``path`` for as long as it has this stamp."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
