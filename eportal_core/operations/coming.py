"""Which patchsets are being downloaded, for as long as the process that does so lives."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from eportal_core.portal import Portal
from eportal_core.storage import disk_errors


class Coming:
    """Tells every process which patchsets are coming, by their keys; threads may share it."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._keys: set[str] = set()

    def add(self, key: str) -> None:
        with self._lock:
            self._keys.add(key)
            self._write()

    def drop(self, key: str) -> None:
        with self._lock:
            self._keys.discard(key)
            self._write()

    def _write(self) -> None:
        # Nothing is given up because it cannot be told of: the disk may be full.
        with suppress(OSError):
            self._file.seek(0)
            self._file.truncate()
            self._file.write("\n".join(self._keys).encode())


@contextmanager
def telling(portal: Portal) -> Iterator[Coming]:
    """What is added in this block is seen by ``coming``; whoever has it holds the patch source."""
    path = _path(portal)
    with disk_errors(path.parent):
        file = FileIO(path, "w")
    with file:
        # Who looks holds it for a moment only, and the kernel frees it when this process dies.
        fcntl.flock(file, fcntl.LOCK_EX)
        yield Coming(file)


def coming(portal: Portal) -> set[str]:
    """Keys of the patchsets that some process downloads right now."""
    try:
        with _path(portal).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return set(file.read().split("\n"))
    except FileNotFoundError:
        pass
    return set()


def _path(portal: Portal) -> Path:
    return portal.config.data_dir / "source" / "downloading"
