"""A bundle as a place to read a source from: one folder, or the parts of one that was split."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from eportal_core.errors import InvalidValue, UpstreamError
from eportal_core.source.layout import METADATA, TARGETS, Offer, stored_path
from eportal_core.source.places import Folder, Progress

_TIMESTAMP = f"{METADATA}/timestamp.json"
#: A timestamp is not longer, bytes.
_TIMESTAMP_MAX = 64 * 1024


class Parts:
    """Reads metadata from the first of the folders, and archives from the one that has them."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = folders

    def __str__(self) -> str:
        return ", ".join(map(str, self.folders)) or "of a bundle"

    def has(self, offer: Offer) -> bool:
        """Whether there is a file for its archive, whatever is in it."""
        return bool(self._with(archive_of(offer)))

    def read(self, path: str, limit: int) -> bytes:
        return self._first().read(path, limit)

    def fetch(
        self, path: str, to: Path, size: int, sha256: str, progress: Progress | None = None
    ) -> None:
        """From any part in which it is whole."""
        found = self._with(path) or self.folders[:1]
        for folder in found:
            try:
                Folder(folder).fetch(path, to, size, sha256, progress)
                return
            except UpstreamError:
                if folder == found[-1]:
                    raise

    def close(self) -> None:
        pass

    def _first(self) -> Folder:
        if not self.folders:
            raise UpstreamError("There is no bundle to read it from.")
        return Folder(self.folders[0])

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
    if (named / METADATA).is_dir():
        return [named]
    if parts := sorted(path.parent for path in named.glob(f"part-*/{METADATA}")):
        return parts
    raise InvalidValue(
        f"{named} is no bundle, and no part of one: it has no folder {METADATA}."
        if named.is_dir()
        else f"There is no folder {named}; mount the disk with the bundle."
    )


def _timestamp(folder: Path) -> bytes:
    return Folder(folder).read(_TIMESTAMP, _TIMESTAMP_MAX)


def archive_of(offer: Offer) -> str:
    """Where its archive is in a source."""
    return f"{TARGETS}/{stored_path(offer.archive, offer.sha256)}"
