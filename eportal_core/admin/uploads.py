"""A form with one file, written to the disk as it comes: no part of it is kept in memory.

Files come into a folder of their own in the patches directory, and go with it. What a process left
there that died is removed when the next one starts.
"""

from __future__ import annotations

import fcntl
import shutil
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from eportal_core.errors import InvalidValue, TooLarge
from eportal_core.portal import Portal
from eportal_core.storage import disk_errors, is_folder

#: Characters of a field that is no file.
FIELD_MAX = 1000
#: Bytes of a form around its file.
AROUND = 100_000
#: Fields and files of a form.
_PARTS_MAX = 20
#: Bytes that are gathered before they are written.
_WRITE = 1 << 20
_LOCK = "lock"


class Upload:
    """Takes a form, chunk by chunk.

    accept: is given the name of the file, without folders, and returns the path to write it to; it
    raises a ``PortalError`` for a name that is not wanted. limit: bytes of the file.
    """

    def __init__(self, content_type: str, accept: Callable[[str], Path], limit: int) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            raise InvalidValue("An archive is sent as a form with a file.")
        self.fields: dict[str, str] = {}
        self.path: Path | None = None
        self.received = 0
        self._accept = accept
        self._limit = limit
        self._header = [b"", b""]
        self._headers: dict[bytes, bytes] = {}
        self._parts = 0
        self._field: str | None = None
        self._value = b""
        self._is_file = False
        self._is_whole = False
        self._pending = bytearray()
        self._file: BinaryIO | None = None
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._header_field,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._named,
                    "on_part_data": self._data,
                    "on_part_end": self._end,
                    "on_end": self._finish,
                },
            )
        except ValueError:
            raise InvalidValue("An archive is sent as a form with a file.") from None

    async def read(self, chunks: AsyncIterator[bytes], progress: Callable[[int], None]) -> Path:
        """Write the file, and return its path; ``progress`` is told how many bytes came.

        Raises:
            InvalidValue: it is no form, or one without a file, or with several.
            TooLarge: the file is larger than the limit.
            StorageError: the disk refused.
            PortalError: as ``accept`` raises it.
        """
        came = 0
        try:
            async for chunk in chunks:
                came += len(chunk)
                if came > self._limit + AROUND:
                    raise self._too_large()
                try:
                    self._parser.write(chunk)
                except MultipartParseError:
                    raise InvalidValue("The form cannot be read.") from None
                progress(self.received)
                if self.path is not None and len(self._pending) >= _WRITE:
                    await run_in_threadpool(self._write, self.path)
            if not self._is_whole:
                raise InvalidValue("The form ends in the middle: send the archive again.")
            if self.path is None:
                raise InvalidValue("Choose an archive first.")
            await run_in_threadpool(self._write, self.path)
            return self.path
        finally:
            if self._file is not None:
                self._file.close()

    def _write(self, path: Path) -> None:
        with disk_errors(path):
            if self._file is None:
                self._file = path.open("xb")
            self._file.write(self._pending)
            self._file.flush()
        self._pending.clear()

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _PARTS_MAX:
            raise InvalidValue("The form has too many fields.")
        self._headers = {}
        self._field, self._value, self._is_file = None, b"", False

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]

    def _header_end(self) -> None:
        name, value = self._header
        self._headers[name.lower()] = value
        self._header = [b"", b""]

    def _named(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._field = options.get(b"name", b"").decode("utf-8", "replace")
        name = options.get(b"filename")
        if name is None:
            return
        self._is_file = True
        if self.path is not None:
            raise InvalidValue("Send one archive at a time.")
        # Browsers send an empty name for a file that was not chosen.
        if text := base_name(name.decode("utf-8", "replace")):
            self.path = self._accept(text)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if not self._is_file:
            self._value += data[start:end]
            if len(self._value) > FIELD_MAX:
                raise InvalidValue("A field of the form is too long.")
            return
        self.received += end - start
        if self.received > self._limit:
            raise self._too_large()
        if self.path is not None:
            self._pending += data[start:end]

    def _end(self) -> None:
        if self._field and not self._is_file:
            self.fields[self._field] = self._value.decode("utf-8", "replace")

    def _finish(self) -> None:
        self._is_whole = True

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The file is larger than {self._limit} bytes (ARCHIVE_MAX_BYTES).")


def base_name(name: str) -> str:
    """The name of a file as browsers of any system send it, without its folders."""
    return name.replace("\\", "/").rpartition("/")[2]


@contextmanager
def upload_folder(portal: Portal) -> Iterator[Path]:
    """An empty folder, which is removed with all that is in it when the block ends.

    Raises:
        StorageError: the disk refused.
    """
    folder = _uploads(portal) / uuid.uuid4().hex
    with disk_errors(folder):
        folder.mkdir(parents=True)
        lock = (folder / _LOCK).open("wb")
    try:
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(portal: Portal) -> None:
    """Remove what processes left that died."""
    folder = _uploads(portal)
    for each in list(folder.iterdir()) if folder.is_dir() else ():
        if is_folder(each) and _is_left(each / _LOCK):
            shutil.rmtree(each, ignore_errors=True)


def _is_left(lock: Path) -> bool:
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _uploads(portal: Portal) -> Path:
    return portal.storage.patches_dir / "cache" / "uploads"
