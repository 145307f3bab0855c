"""What is mirrored, and whether it is what the metadata says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from eportal_core import UpstreamError
from eportal_esu_repo.metadata import Remote
from eportal_esu_repo.repository import (
    REPOMD,
    SIGNATURE,
    Generation,
    Repository,
    is_sized,
    is_sound,
)


@dataclass(frozen=True)
class Status:
    """packages: number. size: bytes of all files. mirrored: seconds since 1970, None for never.

    missing: files that are not there or have another size. unfinished: an update has begun and not
    ended well.
    """

    packages: int
    size: int
    revision: str
    mirrored: float | None
    missing: int
    unfinished: bool

    @property
    def incomplete(self) -> bool:
        return self.mirrored is None or self.missing > 0 or self.unfinished


def status(repository: Repository) -> Status:
    """Of the repository; sizes are looked at, bytes are not."""
    current, mirrored = repository.current(), repository.mirrored()
    unfinished = any(not generation.is_complete for generation in repository.generations())
    if current is None:
        return Status(0, 0, "", None, 0, unfinished)
    try:
        metadata, packages = _files(current)
    except (OSError, UpstreamError):
        return Status(0, 0, "", mirrored, 1, unfinished)
    missing = sum(not is_sized(current.place(file), file.size) for file in metadata)
    missing += sum(not repository.has(package) for package in packages)
    size = sum(file.size for file in (*metadata, *packages))
    revision = current.repomd.revision
    return Status(len(packages), size, revision, mirrored, missing, unfinished)


def faults(repository: Repository) -> Iterator[str]:
    """Sentences about files that differ from the mirrored metadata; every byte is read."""
    current = repository.current()
    if current is None:
        yield "nothing was mirrored yet"
        return
    try:
        metadata, packages = _files(current)
        repomd, signature = ((current.folder / name).read_bytes() for name in (REPOMD, SIGNATURE))
    except (OSError, UpstreamError) as error:
        yield f"its metadata cannot be read: {error}"
        return
    if repository.generation(repomd, signature) != current:
        yield "repomd.xml or its signature has other bytes than it had"
    places = [(file, current.place(file)) for file in metadata]
    places += [(package, repository.folder / package.href) for package in packages]
    for file, place in places:
        # What is no longer named may be replaced or gone: that is an update at work, no fault.
        if not is_sound(place, file) and repository.current() == current:
            other = f"has other bytes than its {file.algorithm} says"
            yield f"{file.href} {other if place.exists() else 'is missing'}"


def shown_time(seconds: float | None) -> str | None:
    """``YYYY-MM-DD HH:MM:SS`` in UTC."""
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%F %T}"


def _files(generation: Generation) -> tuple[tuple[Remote, ...], list[Remote]]:
    """Files of metadata, and packages."""
    return generation.repomd.files, list(generation.packages(generation.repomd).values())
