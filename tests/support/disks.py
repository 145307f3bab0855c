"""Disks that are full or read-only, for a while."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from tests.support.mortal import Fate

MIB = 1 << 20
_UNLIMITED = resource.RLIM_INFINITY


class MountedDisk:
    """A small file system of its own, mounted at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self, left: int = 0, pids: tuple[int, ...] = ()) -> Fate:
        """Leave so many bytes; what is returned has to befall the commands that meet it."""
        disk = os.statvfs(self.path)
        with self._filler.open("wb") as file, suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - left or 1)
        return Fate()

    def free(self, pids: tuple[int, ...] = ()) -> None:
        self._filler.unlink()


class LimitedDisk:
    """A folder in which no file of ours may grow beyond a size: anybody can have that."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, left: int = 0, pids: tuple[int, ...] = ()) -> Fate:
        """As above; ``pids`` are the processes that run already."""
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (left, _UNLIMITED))
        return Fate(full_at_byte=left)

    def free(self, pids: tuple[int, ...] = ()) -> None:
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (_UNLIMITED, _UNLIMITED))


Disk = MountedDisk | LimitedDisk


@contextmanager
def mounted(path: Path, size: int) -> Iterator[Path]:
    """A tmpfs of ``size`` bytes at ``path``, which may not exist yet."""
    path.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    """The file system mounted at ``path`` is read-only until the block ends."""
    subprocess.run(["mount", "-o", "remount,ro", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", path], check=True)


@contextmanager
def not_ours(path: Path) -> Iterator[None]:
    """Everything below ``path`` may be read and not be written, but by a root with its powers."""
    modes = {each: each.stat().st_mode for each in (path, *path.rglob("*"))}
    for each, mode in modes.items():
        each.chmod(mode & 0o555)
    try:
        yield
    finally:
        for each, mode in modes.items():
            # SQLite may have removed its log.
            with suppress(FileNotFoundError):
                each.chmod(mode)


@cache
def mountable() -> bool:
    """Whether we may mount something: root may, but not in every container."""
    if os.geteuid() != 0 or not (shutil.which("mount") and shutil.which("umount")):
        return False
    with tempfile.TemporaryDirectory() as folder:
        command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
        if subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode != 0:
            return False
        subprocess.run(["umount", folder], check=True)
    return True
