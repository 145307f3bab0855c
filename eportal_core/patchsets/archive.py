"""Unpacking a patchset archive from anyone into a staging directory: all of it, or a refusal.

Nothing of an archive is believed: names become paths only after they matched the layout
``<target>/<level>/<file>``, sizes are counted, and no link is ever made. The format is in
docs/archives.md.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from eportal_core.errors import ArchiveError, StorageError
from eportal_core.patchsets import manifest as manifests
from eportal_core.patchsets.info import read_info
from eportal_core.patchsets.manifest import MANIFEST_NAME, File, Manifest, Target
from eportal_core.patchsets.spec import SAFE_SEGMENT, PatchsetSpec
from eportal_core.patchsets.streams import COMPRESSIONS, Progress, decompress
from eportal_core.patchsets.tar import Member, TarReader, shown
from eportal_core.storage import disk_errors, sync_tree

#: ``<target>/latest``, a symbolic link whose text is the level (libcare storage layout).
LATEST = "latest"
#: An archive may unpack to this many bytes whatever its ratio: small ones compress well.
RATIO_FREE_BYTES = 10_000_000

_LEVEL = re.compile(r"[1-9][0-9]{0,9}")


@dataclass(frozen=True)
class Limits:
    """What an archive may cost: the settings ``ARCHIVE_MAX_...``.

    files: members at most, directories included.
    bytes: unpacked bytes of the whole tar stream at most.
    ratio: unpacked bytes for each byte of the archive at most, the first 10 MB are free.
    """

    files: int
    bytes: int
    ratio: int


def patchset_name(path: Path) -> str:
    """``K20251119_03`` of ``K20251119_03.tar.bz2``.

    Raises:
        ArchiveError: the file is not named like an archive.
    """
    for compression in COMPRESSIONS:
        if path.name.endswith(f".tar{compression.suffix}"):
            return path.name.removesuffix(f".tar{compression.suffix}")
    suffixes = ", ".join(f".tar{compression.suffix}" for compression in COMPRESSIONS)
    raise ArchiveError(f"{path.name} is not named like a patchset archive ({suffixes}).")


def parse_level(text: str) -> int | None:
    """The level that ``text`` writes in its one accepted form, None for anything else."""
    return int(text) if _LEVEL.fullmatch(text) else None


def unpack(
    archive: Path,
    staging: Path,
    spec: PatchsetSpec,
    limits: Limits,
    progress: Progress | None = None,
) -> Manifest:
    """Unpack ``archive`` into ``staging``, an empty directory, and describe what is there now.

    On return ``staging`` holds ``<target>/<level>/<file>`` as the manifest says and nothing else,
    and all of it would survive a power cut. On an error the caller removes ``staging``.
    ``progress`` is told (bytes of the archive read, size of the archive).

    Raises:
        ArchiveError: the archive is refused; the sentence names it, the member and what is wrong.
        StorageError: the disk is full, or fails.
    """
    name = spec.check_name(patchset_name(archive))
    try:
        with disk_errors(staging):
            if not archive.is_file():
                raise ArchiveError("it is not a regular file.")
            by_ratio = max(RATIO_FREE_BYTES, limits.ratio * archive.stat().st_size)
            setting = "ARCHIVE_MAX_BYTES" if limits.bytes <= by_ratio else "ARCHIVE_MAX_RATIO"
            limits = replace(limits, bytes=min(limits.bytes, by_ratio))
            unpacking = _Unpacking(name, staging, spec, limits, setting)
            with closing(decompress(archive, progress)) as chunks:
                reader = TarReader(chunks, limits.bytes, setting)
                for member in reader:
                    unpacking.take(member, reader.content())
            manifest = unpacking.finish()
            sync_tree(staging)
    except ArchiveError as error:
        raise ArchiveError(f"{archive.name} is refused: {error}") from None
    return manifest


class _Unpacking:
    """What is known of an archive while its members go by."""

    def __init__(
        self, name: str, staging: Path, spec: PatchsetSpec, limits: Limits, setting: str
    ) -> None:
        self._name = name
        self._staging = staging
        self._spec = spec
        self._limits = limits
        self._setting = setting
        self._seen: set[str] = set()
        self._directories: set[str] = set()
        self._latest: dict[str, str] = {}
        self._levels: dict[str, int] = {}
        self._files: dict[str, dict[str, File]] = {}
        self._stated: Manifest | None = None

    def take(self, member: Member, content: Iterator[memoryview]) -> None:
        name = member.name.removeprefix("./")
        if name in self._seen:
            raise ArchiveError(f"{shown(name)} is in it twice.")
        if len(self._seen) >= self._limits.files:
            raise ArchiveError(
                f"it has more than {self._limits.files} members (ARCHIVE_MAX_FILES)."
            )
        self._seen.add(name)
        if name.startswith("/"):
            raise ArchiveError(f"{shown(name)} is an absolute path.")
        parts = name.split("/")
        if ".." in parts:
            raise ArchiveError(f"{shown(name)} leads out of the archive.")
        if member.link is not None:
            self._take_link(name, parts, member.link)
        elif member.directory:
            self._take_directory(name, parts)
        elif name == MANIFEST_NAME:
            self._take_manifest(member.size, content)
        else:
            self._take_file(name, parts, member.size, content)

    def _take_link(self, name: str, parts: list[str], text: str) -> None:
        if len(parts) != 2 or parts[1] != LATEST or parse_level(text) is None:
            raise ArchiveError(
                f"{shown(name)} is a link, and not one from <target>/{LATEST} to a level."
            )
        self._latest[parts[0]] = text

    def _take_directory(self, name: str, parts: list[str]) -> None:
        if name == ".":
            return
        fits = self._spec.is_target(parts[0]) and (
            len(parts) == 1 or (len(parts) == 2 and parse_level(parts[1]) is not None)
        )
        if not fits:
            raise ArchiveError(f"the directory {shown(name)} is not <target> or <target>/<level>.")
        self._directories.add(name)

    def _take_manifest(self, size: int, content: Iterator[memoryview]) -> None:
        if size > manifests.MANIFEST_MAX_BYTES:
            raise ArchiveError(f"{MANIFEST_NAME} has {size} bytes.")
        stated = manifests.decode(b"".join(bytes(piece) for piece in content))
        if stated.product != self._spec.product.name:
            raise ArchiveError(
                f"it is for the product {shown(stated.product)}, not {self._spec.product.name!r}."
            )
        if stated.name != self._name:
            raise ArchiveError(f"{MANIFEST_NAME} names the patchset {shown(stated.name)}.")
        if stated.size > self._limits.bytes:
            raise ArchiveError(
                f"it unpacks to {stated.size} bytes, {self._limits.bytes} are allowed "
                f"({self._setting})."
            )
        stored = sum(file.size for files in self._files.values() for file in files.values())
        self._check_room(stated.size - stored)
        self._stated = stated

    def _take_file(
        self, name: str, parts: list[str], size: int, content: Iterator[memoryview]
    ) -> None:
        level = parse_level(parts[1]) if len(parts) == 3 else None
        if level is None:
            raise ArchiveError(f"{shown(name)} is not <target>/<level>/<file>.")
        target, _, file_name = parts
        if not self._spec.is_target(target):
            raise ArchiveError(
                f"{shown(name)} is for {shown(target)}, "
                f"which is not a target of {self._spec.product.title}."
            )
        if not SAFE_SEGMENT.fullmatch(file_name) or file_name == LATEST:
            raise ArchiveError(f"{shown(name)} has a file name that is not allowed.")
        if self._levels.setdefault(target, level) != level:
            raise ArchiveError(
                f"target {target} has two levels, {self._levels[target]} and {level}."
            )
        self._check_room(size)
        directory = self._staging / target / parts[1]
        files = self._files.get(target)
        if files is None:
            files = self._files[target] = {}
            _make_directory(directory.parent)
            _make_directory(directory)
        files[file_name] = _write(directory / file_name, content)

    def _check_room(self, size: int) -> None:
        room = shutil.disk_usage(self._staging).free
        if size > room:
            raise StorageError(
                f"Patchset {self._name} needs {size} more bytes on the disk, which has {room}."
            )

    def finish(self) -> Manifest:
        """The manifest, after the last member: stated and true, or derived from what was there."""
        if not self._files:
            raise ArchiveError("it holds no patch files.")
        for target, text in self._latest.items():
            if self._levels.get(target) != int(text):
                raise ArchiveError(
                    f"{shown(f'{target}/{LATEST}')} leads to level {text}, which is not in it."
                )
        full = {*self._files, *(f"{target}/{level}" for target, level in self._levels.items())}
        if empty := self._directories - full:
            raise ArchiveError(f"the directory {shown(min(empty))} is empty.")
        if self._stated is None:
            return self._derive()
        self._compare(self._stated)
        return self._stated

    def _derive(self) -> Manifest:
        targets = {}
        for target, files in sorted(self._files.items()):
            level = self._levels[target]
            info = read_info(self._staging / target / str(level))
            targets[target] = Target(level, dict(sorted(files.items())), info.distro, info.uname)
        return Manifest(
            format=manifests.FORMAT,
            product=self._spec.product.name,
            name=self._name,
            targets=targets,
            distros=sorted({target.distro for target in targets.values()} - {""}),
        )

    def _compare(self, stated: Manifest) -> None:
        """Refuse unless the archive holds exactly what its manifest states."""
        for name, target in stated.targets.items():
            if not target.files:
                raise ArchiveError(f"{MANIFEST_NAME} states no files for target {shown(name)}.")
        declared = {
            f"{name}/{target.level}/{file_name}": file
            for name, target in stated.targets.items()
            for file_name, file in target.files.items()
        }
        present = {
            f"{target}/{self._levels[target]}/{file_name}": file
            for target, files in self._files.items()
            for file_name, file in files.items()
        }
        if missing := declared.keys() - present.keys():
            raise ArchiveError(f"{shown(min(missing))} is in {MANIFEST_NAME}, but not in it.")
        if undeclared := present.keys() - declared.keys():
            raise ArchiveError(f"{shown(min(undeclared))} is not in {MANIFEST_NAME}.")
        for name, file in present.items():
            if file.size != declared[name].size:
                raise ArchiveError(
                    f"{shown(name)} has {file.size} bytes, "
                    f"{MANIFEST_NAME} says {declared[name].size}."
                )
            if file.sha256 != declared[name].sha256:
                raise ArchiveError(f"{shown(name)} has other bytes than {MANIFEST_NAME} says.")


def _make_directory(path: Path) -> None:
    path.mkdir()
    # Whatever the umask.
    path.chmod(0o755)


def _write(path: Path, content: Iterator[memoryview]) -> File:
    """Store ``content`` as the new file ``path``, and start writing it to the disk."""
    digest = hashlib.sha256()
    with path.open("xb") as file:
        os.fchmod(file.fileno(), 0o644)
        for piece in content:
            digest.update(piece)
            file.write(piece)
        file.flush()
        # Makes the kernel begin now with what sync_tree waits for; nothing else would.
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        size = file.tell()
    return File(digest.hexdigest(), size)
