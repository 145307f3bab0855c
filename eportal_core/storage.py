"""Where patches live on disk, and how nothing is ever half there.

Files are written below ``staging/`` and renamed into place; then one transaction makes them
visible. Before the first rename a journal names what is about to appear, before a deletion what is
about to go. A journal found under the lock is work that ended badly or is done: whatever it names
and the database does not know is removed. Crash, refusal and clean end are swept alike.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from eportal_core.errors import StorageError

_JOURNAL = "journal.json"


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
        """Only one process publishes or deletes at a time; leftovers are swept before and after.

        The kernel drops the lock when its holder dies, however it dies.
        """
        with disk_errors(), (self.staging / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._sweep()
            try:
                yield
            finally:
                self._sweep()

    def workspace(self) -> Path:
        """A fresh empty folder on the file system of the patches; swept when the lock is freed."""
        folder = self.staging / uuid.uuid4().hex
        folder.mkdir()
        return folder

    def journal(self, workspace: Path, entries: Sequence[Entry]) -> None:
        """Name, durably, what is about to appear or to go; call it under ``exclusive``."""
        aside = workspace / f"{_JOURNAL}.new"
        with aside.open("wb") as file:
            file.write(msgspec.json.encode(entries))
            file.flush()
            os.fsync(file.fileno())
        aside.rename(workspace / _JOURNAL)
        sync_folder(workspace)

    def _sweep(self) -> None:
        for workspace in self.staging.iterdir():
            if not workspace.is_dir():
                continue
            journal = workspace / _JOURNAL
            if journal.exists():
                for entry in msgspec.json.decode(journal.read_bytes(), type=list[Entry]):
                    if not self.is_known(entry):
                        for path in entry.paths:
                            self._remove(self.patches_dir / path)
            shutil.rmtree(workspace)

    def _remove(self, path: Path) -> None:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        folder = path.parent
        while folder not in (self.patches_dir, self.archives) and folder.exists():
            if any(folder.iterdir()):
                return
            folder.rmdir()
            folder = folder.parent


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn the operating system's refusals into one sentence.

    Raises:
        StorageError: with what the system said and of which file.
    """
    try:
        yield
    except OSError as error:
        where = f" at {error.filename}" if error.filename else ""
        raise StorageError(f"The disk refused{where}: {error.strerror or error}.") from error


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
