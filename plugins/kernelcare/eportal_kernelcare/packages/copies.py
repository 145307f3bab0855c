"""Copies of upstream files on the disk, each with what the upstream said of it.

``files/`` holds, for each path, an entry ``<key>.json`` and the bytes it names, ``<key>.<random>``:
writing the entry is the one step by which a copy appears or changes, so whatever a crash leaves is
a whole copy or none. Keys are hashes of address and path: no path can lead out of the folder, and
none stands in another's way. Several processes may share it.
"""

from __future__ import annotations

import filecmp
import hashlib
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from pathlib import Path

import msgspec

from eportal_core import disk_errors, held, write_file
from eportal_kernelcare.packages.names import group_of, is_final

#: How exactly it is known when a copy was last used, seconds.
_USE_PERIOD = 60
#: Clocks of processes and file systems may differ this much, seconds.
_CLOCK_SLACK = 2


class Copy(msgspec.Struct, frozen=True):
    """A file as it is here.

    path: below the upstream. body: name of the file with its bytes. size: of it. checked: when
    the upstream said that it is this, seconds since 1970.
    """

    path: str
    body: str
    size: int
    checked: float
    etag: str = ""
    last_modified: str = ""

    @property
    def conditions(self) -> dict[str, str]:
        """Headers by which the upstream need not send it again. Source: RFC 9110, 13.1."""
        known = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in known.items() if value}


class Copies:
    """The copies of what is at ``upstream``, in ``folder``; methods may be called in any thread."""

    def __init__(self, folder: Path, upstream: str) -> None:
        self._upstream = upstream
        self._files = folder / "files"
        self._partial = folder / "partial"
        self._groups = folder / "groups"

    def find(self, path: str) -> Copy | None:
        """The whole copy of ``path``, if there is one."""
        try:
            copy = msgspec.json.decode(self._entry(path).read_bytes(), type=Copy)
            found = self.body(copy).stat().st_size
        # A damaged disk may have left anything.
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return copy if found == copy.size and copy.path == path else None

    def body(self, copy: Copy) -> Path:
        """The file with the bytes of ``copy``."""
        return self._files / copy.body

    def is_fresh(self, copy: Copy, seconds: float) -> bool:
        """Whether ``copy`` may be served without asking: for ``seconds``, or for ever.

        An index is not when another one of its group has changed since: a client must not get a
        new ``InRelease`` and the ``Packages`` that the one before described.
        """
        if is_final(copy.path):
            return True
        now = time.time()
        changed = self._changed(copy.path)
        # What lies in the future was written before the clock was set back.
        return 0 <= now - copy.checked < seconds and (
            changed <= copy.checked or changed > now + _CLOCK_SLACK
        )

    def use(self, path: str) -> None:
        """Note that ``path`` was asked for; the least recently used copies go first."""
        entry = self._entry(path)
        with suppress(FileNotFoundError):
            if time.time() - entry.stat().st_mtime > _USE_PERIOD:
                os.utime(entry)

    @contextmanager
    def lock(self, path: str) -> Iterator[Path]:
        """Only one process at a time fetches ``path``; gives where to.

        What is kept there after a failure is gone on with next time.
        """
        with disk_errors(self._partial):
            for folder in (self._files, self._groups):
                folder.mkdir(parents=True, exist_ok=True)
        place = self._partial / self._key(path)
        with held(place):
            yield place

    def partial_size(self, path: str) -> int:
        """Bytes that came of ``path`` before its download failed."""
        part = self._partial / f"{self._key(path)}.part"
        with suppress(FileNotFoundError):
            return part.stat().st_size
        return 0

    def keep(self, path: str, came: Path, headers: Mapping[str, str], checked: float) -> Copy:
        """Make the file that ``came`` the copy of ``path``; call it under the lock."""
        before = self.find(path)
        with disk_errors(self._files):
            if before is not None and filecmp.cmp(self.body(before), came, shallow=False):
                came.unlink()
                return self.confirm(before, checked, headers)
            modified = headers.get("Last-Modified", "")
            _set_time(came, modified)
            body = f"{self._key(path)}.{uuid.uuid4().hex[:8]}"
            size = came.stat().st_size
            came.rename(self._files / body)
            copy = Copy(path, body, size, checked, headers.get("ETag", ""), modified)
            self._note_change(path, checked)
            self._write(copy)
            if before is not None:
                # Who has opened it reads it to the end; who has not looks again.
                self.body(before).unlink(missing_ok=True)
        return copy

    def confirm(self, copy: Copy, checked: float, headers: Mapping[str, str]) -> Copy:
        """The upstream said that ``copy`` is still right; call it under the lock."""
        confirmed = msgspec.structs.replace(
            copy,
            checked=checked,
            etag=headers.get("ETag", copy.etag),
            last_modified=headers.get("Last-Modified", copy.last_modified),
        )
        with disk_errors(self._files):
            self._write(confirmed)
        return confirmed

    def _write(self, copy: Copy) -> None:
        write_file(self._entry(copy.path), msgspec.json.encode(copy))

    def _changed(self, path: str) -> float:
        """When something in the group of ``path`` last changed, seconds since 1970."""
        group = group_of(path)
        if group is None:
            return 0
        with suppress(OSError, ValueError):
            return float((self._groups / self._key(group)).read_text())
        return 0

    def _note_change(self, path: str, when: float) -> None:
        """Before the copy appears: a crash in between costs a question, not a mixture."""
        group = group_of(path)
        if group is not None and not is_final(path) and when > self._changed(path):
            # Under the lock of a path, of which a group has many.
            aside = self._groups / uuid.uuid4().hex
            aside.write_text(repr(when))
            aside.rename(self._groups / self._key(group))

    def _entry(self, path: str) -> Path:
        return self._files / f"{self._key(path)}.json"

    def _key(self, path: str) -> str:
        return hashlib.sha256(f"{self._upstream}\n{path}".encode()).hexdigest()


def _set_time(path: Path, text: str) -> None:
    """Clients that resume compare times: a copy fetched again must be as old as the first."""
    with suppress(ValueError, OverflowError):
        moment = parsedate_to_datetime(text).timestamp()
        os.utime(path, (moment, moment))
