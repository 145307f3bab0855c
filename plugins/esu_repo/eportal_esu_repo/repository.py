"""One mirrored repository on disk; docs/esu.md draws it.

Clients see packages at their own paths, and ``repodata``, a link to one of ``.generations/``. Each
generation is a folder with all files of metadata that one ``repomd.xml`` names. Renaming a new
link over the old one is the switch: before it clients see all of the old metadata, after it all of
the new.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from eportal_core import NotFound, Portal, sync_tree, write_file
from eportal_esu_repo import TREE
from eportal_esu_repo.metadata import Remote, Repomd, read_packages, read_repomd
from eportal_esu_repo.settings import repositories

GENERATIONS = ".generations"
REPOMD, SIGNATURE = "repomd.xml", "repomd.xml.asc"
_LINK = re.compile(rf"{re.escape(GENERATIONS)}/([0-9a-f]{{64}})")
#: What was checked when it was fetched is read again without a limit.
_ANY_SIZE = 1 << 62


@dataclass(frozen=True)
class Generation:
    """The metadata of a repository at one time."""

    folder: Path

    @cached_property
    def repomd(self) -> Repomd:
        return read_repomd((self.folder / REPOMD).read_bytes(), _ANY_SIZE)

    def packages(
        self, repomd: Repomd, unpacked: int = _ANY_SIZE, each: int = _ANY_SIZE
    ) -> dict[str, Remote]:
        """By href. unpacked, each: bytes that the metadata and a package may have.

        Raises:
            UpstreamError: the primary metadata is damaged, or names what may not be fetched.
        """
        return read_packages(self.place(repomd.primary), unpacked, each)

    def place(self, file: Remote) -> Path:
        """Where a file of metadata is kept."""
        return self.folder / file.href.rpartition("/")[2]

    def complete(self, repomd: bytes, signature: bytes) -> None:
        """Keep what makes the generation whole; all else is there."""
        for name, data in ((REPOMD, repomd), (SIGNATURE, signature)):
            path = self.folder / name
            if not path.exists() or path.read_bytes() != data:
                write_file(path, data)

    @property
    def is_complete(self) -> bool:
        return (self.folder / SIGNATURE).exists()


@dataclass(frozen=True)
class Repository:
    """name: its path below the upstream and below ``/esu/``. folder: where it is kept."""

    name: str
    folder: Path

    @property
    def incoming(self) -> Path:
        return self.folder / ".incoming"

    @property
    def keyring(self) -> Path:
        return self.folder / ".keyring"

    @property
    def _mark(self) -> Path:
        return self.folder / ".mirrored"

    def generation(self, repomd: bytes, signature: bytes) -> Generation:
        """The one that these two files make, which may not be there yet."""
        identity = hashlib.sha256(hashlib.sha256(repomd).digest() + signature).hexdigest()
        return Generation(self.folder / GENERATIONS / identity)

    def current(self) -> Generation | None:
        """What clients see, None when nothing was ever mirrored."""
        try:
            link = _LINK.fullmatch(str((self.folder / "repodata").readlink()))
        except OSError:
            return None
        return Generation(self.folder / GENERATIONS / link[1]) if link else None

    def generations(self) -> list[Generation]:
        folder = self.folder / GENERATIONS
        return [Generation(path) for path in folder.iterdir()] if folder.is_dir() else []

    def mirrored(self) -> float | None:
        """When an update last went well, seconds since 1970."""
        return self._mark.stat().st_mtime if self._mark.exists() else None

    def has(self, package: Remote) -> bool:
        """Whether a file of its size stands in its place."""
        return is_sized(self.folder / package.href, package.size)

    def switch(self, generation: Generation) -> None:
        """Show ``generation`` to clients, all at once; everything it names is in its place."""
        sync_tree(self.folder)
        link = self.folder / ".repodata.new"
        link.unlink(missing_ok=True)
        link.symlink_to(f"{GENERATIONS}/{generation.folder.name}")
        link.replace(self.folder / "repodata")
        sync_tree(self.folder)

    def settle(
        self, keep: Container[Generation | None], packages: Container[str] | None = None
    ) -> None:
        """An update went well: note the time, and remove what nothing names any more.

        keep: generations that stay. packages: hrefs that stay, None for all.
        """
        self._mark.touch()
        if self.incoming.is_dir():
            shutil.rmtree(self.incoming)
        for generation in self.generations():
            if generation not in keep:
                shutil.rmtree(generation.folder)
        if packages is None:
            return
        for path in list(self._files()):
            if path.relative_to(self.folder).as_posix() not in packages:
                path.unlink()
                _remove_empty(path.parent, self.folder)

    def _files(self) -> Iterator[Path]:
        """Everything that stands where packages do."""
        for top in self.folder.iterdir():
            if top.name.startswith(".") or top.name == "repodata":
                continue
            if top.is_symlink() or not top.is_dir():
                yield top
            for folder, _, names in os.walk(top):
                yield from (Path(folder, name) for name in names)


def mirror(portal: Portal, names: Sequence[str] = ()) -> list[Repository]:
    """The repositories of the settings, or those of ``names``.

    Raises:
        InvalidValue: the settings cannot be used.
        NotFound: one of ``names`` is not in them.
    """
    known = repositories(portal)
    wanted = [name.strip("/") for name in names] or known
    for name in wanted:
        if name not in known:
            raise NotFound(f"There is no repository {name} in ESU_REPOSITORIES.")
    return [Repository(name, portal.config.patches_dir / TREE / name) for name in wanted]


def is_sized(path: Path, size: int) -> bool:
    """Whether ``path`` is a regular file of ``size`` bytes."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == size


def is_sound(path: Path, file: Remote) -> bool:
    """Whether ``path`` holds, byte for byte, what ``file`` names."""
    if not is_sized(path, file.size):
        return False
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, file.algorithm).hexdigest() == file.digest


def _remove_empty(folder: Path, top: Path) -> None:
    while folder != top and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
