"""Where patches live on disk, and how nothing is ever half there.

Files are written below ``staging/`` and renamed into place; then one transaction makes them
visible. Before the first rename a journal names what is about to appear, before a deletion what is
about to go. A journal found under the lock is work that ended badly or is done: whatever it names
and the database does not know is removed. Crash, refusal and clean end are swept alike.
"""

from __future__ import annotations

import ctypes
import fcntl
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from eportal_core.errors import StorageError

log = logging.getLogger("eportal.storage")

_JOURNAL = "journal.json"
#: Folders of a portal that are no product's, in the data or the patches directory.
OWN_FOLDERS = ("arch", "cache", "config", "jobs", "reports", "source", "staging")


class Entry(msgspec.Struct, frozen=True):
    """Paths, relative to the patches directory, that stay if the database knows their owner.

    patchset: ``<product>/<name>``. target, level: empty and 0 for files of the patchset itself.
    """

    patchset: str
    paths: list[str]
    target: str = ""
    level: int = 0


@dataclass(frozen=True)
class Storage:
    """The folders of a portal; see ``docs/architecture.md`` for their content."""

    data_dir: Path
    patches_dir: Path
    is_known: Callable[[Entry], bool]

    @property
    def archives(self) -> Path:
        return self.patches_dir / "arch"

    @property
    def staging(self) -> Path:
        return self.patches_dir / "staging"

    @property
    def _lock_file(self) -> Path:
        return self.staging / "lock"

    def create(self) -> None:
        """Make the folders that every portal has.

        Raises:
            StorageError: they cannot be made.
        """
        with disk_errors():
            for folder in (self.data_dir, self.archives, self.staging):
                folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Publish or delete, one process at a time; leftovers are swept before and after."""
        with self.lock():
            self._sweep()
            try:
                yield
            finally:
                self._sweep()

    def sweep(self) -> None:
        """Remove what a crash left; a process that is at work does it itself."""
        with disk_errors(), suppress(BlockingIOError), self._lock_file.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._sweep()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Only one process at a time; the kernel frees the lock when its holder dies."""
        with disk_errors(self.patches_dir), self._lock_file.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def workspace(self) -> Path:
        """A fresh empty folder on the file system of the patches; swept when ``exclusive`` ends."""
        folder = self.staging / uuid.uuid4().hex
        folder.mkdir()
        return folder

    def journal(self, workspace: Path, entries: Sequence[Entry]) -> None:
        """Name, durably, what is about to appear or to go; call it under ``exclusive``.

        Raises:
            StorageError: a path leads out of the patches directory.
        """
        for entry in entries:
            for path in entry.paths:
                self._check_below(self.patches_dir / path)
        write_file(workspace / _JOURNAL, msgspec.json.encode(entries))
        sync_folder(self.staging)

    def place(self, source: Path, place: Path) -> None:
        """Rename ``source``, in a workspace, to ``place``; call it after ``journal``.

        What is there trades places with it in one step. It is damaged, or nobody's: the disk lost
        a journal, or the database.

        Raises:
            StorageError: ``place`` leads out of the patches directory.
        """
        self._check_below(place)
        if not self._is_inside(place):
            raise StorageError(f"{place} leads out of the patches directory by a link.")
        if os.path.lexists(place):
            exchange(source, place)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            source.rename(place)

    def unowned(self) -> list[Entry]:
        """What journals name and nothing owns: the end of ``exclusive`` removes it."""
        return [
            entry
            for workspace in self.staging.iterdir()
            if is_folder(workspace)
            for entry in _read_journal(workspace / _JOURNAL)
            if not self.is_known(entry)
        ]

    def _sweep(self) -> None:
        for workspace in self.staging.iterdir():
            if is_folder(workspace):
                named = _read_journal(workspace / _JOURNAL)
                unknown = [entry for entry in named if not self.is_known(entry)]
                for entry in unknown:
                    for path in entry.paths:
                        self._remove(self.patches_dir / path)
                if unknown:
                    # What is gone may not come back once nothing names it any more.
                    sync_tree(self.patches_dir)
                shutil.rmtree(workspace)

    def _check_below(self, path: Path) -> None:
        if ".." in path.parts or not path.is_relative_to(self.patches_dir):
            raise StorageError(f"{path} leads out of the patches directory.")

    def _is_inside(self, path: Path) -> bool:
        return path.parent.resolve().is_relative_to(self.patches_dir.resolve())

    def _remove(self, path: Path) -> None:
        """Remove a file or folder, and the folders above that this leaves empty."""
        if not self._is_inside(path):
            log.error("%s is not removed: a link leads out of the patches directory.", path)
            return
        if is_folder(path):
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder in (self.patches_dir, self.archives):
                return
            # It holds something else, or has gone already.
            with suppress(OSError):
                folder.rmdir()


@contextmanager
def disk_errors(folder: Path | None = None) -> Iterator[None]:
    """Turn the operating system's refusals into one sentence.

    Raises:
        StorageError: with what the system said and of which file; of ``folder`` if it named none.
    """
    try:
        yield
    except OSError as error:
        place = error.filename or folder
        where = f" at {place}" if place else ""
        raise StorageError(f"The disk refused{where}: {error.strerror or error}.") from error


def is_folder(path: Path) -> bool:
    """Whether it is one itself, and no link to one."""
    return path.is_dir() and not path.is_symlink()


def _read_journal(journal: Path) -> list[Entry]:
    """A crash leaves a whole journal or none; a damaged disk may leave anything."""
    try:
        return msgspec.json.decode(journal.read_bytes(), type=list[Entry])
    except FileNotFoundError:
        return []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        log.error(
            "The journal %s was damaged (%s) and is given up: an unfinished deploy or deletion may "
            "have left files that no agent gets. Deploying that archive again puts them in order.",
            journal,
            error,
        )
        return []


def write_file(path: Path, data: bytes) -> None:
    """Write ``path`` durably; a crash leaves it as it was or as it will be.

    Only one process at a time may write it.
    """
    with written_aside(path, path.with_name(f"{path.name}.new")) as file:
        file.write(data)


@contextmanager
def written_aside(path: Path, aside: Path) -> Iterator[BinaryIO]:
    """A file ``aside`` that is ``path``, durably, after the block; an error changes nothing.

    aside: in the same folder; what a crash left there is replaced.
    """
    try:
        with aside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(directory: Path) -> None:
    """Return when all of the file system of ``directory`` is on the disk.

    One call instead of an fsync for each of thousands of files and directories.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            raise _libc_error(directory)
    finally:
        os.close(descriptor)


def exchange(one: Path, other: Path) -> None:
    """Let two names trade what they name, in one step. Source: rename(2), RENAME_EXCHANGE."""
    libc = ctypes.CDLL(None, use_errno=True)
    here, exchanging = -100, 2
    if libc.renameat2(here, os.fsencode(one), here, os.fsencode(other), exchanging) != 0:
        raise _libc_error(other)


def _libc_error(path: Path) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), str(path))
