"""Where a file is fetched to: by one process and thread at a time; a crash is gone on after."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eportal_core.storage import disk_errors


@contextmanager
def held(place: Path) -> Iterator[None]:
    """Only one process and thread at a time fetches to ``place``.

    What is kept there after a failure, ``<place>.part``, is gone on with next time.
    """
    name = place.with_name(f"{place.name}.lock")
    with disk_errors(place.parent):
        place.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with disk_errors(), name.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # The holder before may have removed it, and somebody made another one.
            if not _is_file(name, lock.fileno()):
                continue
            try:
                yield
            finally:
                name.unlink(missing_ok=True)
            return


def dropped(part: Path) -> bool:
    """Remove what came of a file, unless it is being fetched; whether it was removed."""
    name = part.with_suffix(".lock")
    with name.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        # Its holder removes it; whoever came then has a lock of the same name.
        if not _is_file(name, lock.fileno()):
            return False
        part.unlink(missing_ok=True)
        part.with_name(f"{part.name}.json").unlink(missing_ok=True)
        name.unlink(missing_ok=True)
    return True


def _is_file(path: Path, descriptor: int) -> bool:
    """Whether ``path`` still names what was opened."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
