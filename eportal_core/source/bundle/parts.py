"""A bundle as a place to read a source from: one folder, or the parts of one that was split."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from eportal_core.errors import InvalidValue, UpstreamError
from eportal_core.source.files import Folder, Progress
from eportal_core.source.layout import METADATA, TARGETS, Offer, stored_path

#: Folder of what is carried for products that are not made of archives.
CARRIED = "carried"
_TIMESTAMP = f"{METADATA}/timestamp.json"
#: A timestamp is not longer, bytes.
_TIMESTAMP_MAX = 64 * 1024


class Parts:
    """Reads each file from the first of the folders that has it."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = folders

    def __str__(self) -> str:
        return ", ".join(map(str, self.folders))

    @property
    def has_patchsets(self) -> bool:
        """Whether it is a patch source at all; one may be for other products alone."""
        return any(map(_is_source, self.folders))

    def has(self, path: str) -> bool:
        """Whether there is something, whatever it is."""
        return bool(self._with(path))

    def read(self, path: str, limit: int) -> bytes:
        return Folder((self._with(path) or self.folders)[0]).read(path, limit)

    def fetch(
        self, path: str, to: Path, size: int, sha256: str, progress: Progress | None = None
    ) -> None:
        self.copy(path, to, size, ("sha256", sha256), progress)

    def copy(
        self,
        path: str,
        to: Path,
        size: int,
        checksum: tuple[str, str],
        progress: Progress | None = None,
    ) -> None:
        """From any part in which it is whole."""
        found = self._with(path) or self.folders[:1]
        for folder in found:
            try:
                Folder(folder).copy(path, to, size, checksum, progress)
                return
            except UpstreamError:
                if folder == found[-1]:
                    raise

    def close(self) -> None:
        pass

    def _with(self, path: str) -> list[Path]:
        return [folder for folder in self.folders if os.path.lexists(folder / path)]


def opened(named: Sequence[Path]) -> Parts:
    """The bundle whose folders, or folder of all parts, are ``named``.

    Raises:
        InvalidValue: there is none, or they are of more than one.
        UpstreamError: it cannot be read.
    """
    folders = [folder for each in named for folder in _folders(each)]
    first = folders[0]
    for folder in folders[1:]:
        if _timestamp(folder) != _timestamp(first):
            raise InvalidValue(
                f"{first} and {folder} are of different bundles: apply the older one first, then "
                f"the other."
            )
    return Parts(folders)


def _folders(named: Path) -> list[Path]:
    named = named.absolute()
    if _is_part(named):
        return [named]
    if parts := sorted(filter(_is_part, named.glob("part-*"))):
        return parts
    raise InvalidValue(
        f"{named} is no bundle, and no part of one: it has no folder {METADATA} or {CARRIED}."
        if named.is_dir()
        else f"There is no folder {named}; mount the disk with the bundle."
    )


def _is_part(folder: Path) -> bool:
    return _is_source(folder) or (folder / CARRIED).is_dir()


def _is_source(folder: Path) -> bool:
    return (folder / METADATA).is_dir()


def _timestamp(folder: Path) -> bytes:
    """Empty for a bundle without patchsets."""
    return Folder(folder).read(_TIMESTAMP, _TIMESTAMP_MAX) if _is_source(folder) else b""


def archive_of(offer: Offer) -> str:
    """Where its archive is in a source."""
    return f"{TARGETS}/{stored_path(offer.archive, offer.sha256)}"
