"""A file from an upstream, whole and verified, or nothing: it goes on where it stopped."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec
import requests

from eportal_core import http
from eportal_core.errors import StorageError, UpstreamError, WrongBytes
from eportal_core.storage import disk_errors, sync_folder

#: How a download that stopped is told apart from another answer to the same address.
_VALIDATORS = ("ETag", "Last-Modified")
#: A number of bytes as headers have it; no file is longer.
_NUMBER = re.compile(r"[0-9]{1,18}")


def download(
    session: requests.Session,
    url: str,
    path: Path,
    *,
    limit: int,
    size: int | None = None,
    checksum: tuple[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Mapping[str, str]:
    """Fetch ``url`` to ``path``, durably; returns the headers of the answer.

    What came is kept beside it as ``<path>.part``, and the next call goes on from there. Only one
    caller at a time may fetch to a path.

    limit: bytes that the file may have at most. size: bytes that it must have. checksum: name of
    the algorithm (``sha256``) and the hex digest that it must have. progress: told of each piece
    that came, bytes.

    Raises:
        UpstreamError: no answer, an error status, or it comes too slowly; ``WrongBytes``: other
            bytes than they must be.
        StorageError: the disk refused, or has not enough room.
    """
    part = path.with_name(f"{path.name}.part")
    limit = limit if size is None else size
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        start = _resumable(part, url, size, checksum)
        with _rest(session, url, part, start, headers or {}) as (response, start):
            if not start:
                # Never beside the notes of another answer, wherever a crash comes.
                part.unlink(missing_ok=True)
            _note(part, response, url)
            total = _length(response, start)
            if size is not None and total not in (None, size):
                raise _unusable(part, url, f"has {total} bytes, not {size}")
            if total is not None and total > limit:
                raise _unusable(part, url, f"is longer than {limit} bytes")
            _check_room(path, (total or size or 0) - start)
            with part.open("ab" if start else "wb") as file:
                _receive(http.pieces(response, url), file, limit - start, progress)
                file.flush()
                os.fsync(file.fileno())
                found = file.tell()
            if found > limit:
                raise _unusable(part, url, f"is longer than {limit} bytes")
            if total is not None and found > total:
                raise _unusable(part, url, f"has {found} bytes, not {total}")
            if total is not None and found < total:
                raise UpstreamError(f"{http.shown(url)} stopped after {found} of {total} bytes.")
        if fault := _fault(part, size, checksum):
            raise _unusable(part, url, fault)
        part.replace(path)
        _forget(part)
        sync_folder(path.parent)
    return response.headers


@contextmanager
def _rest(
    session: requests.Session, url: str, part: Path, start: int, headers: Mapping[str, str]
) -> Iterator[tuple[requests.Response, int]]:
    """A good answer, and at which byte of the file it begins: ``start``, or 0.

    Raises:
        UpstreamError: no answer, an error status, or other bytes than it was asked for.
    """
    if start:
        ranged = {**headers, "Range": f"bytes={start}-", **_if_range(part)}
        with http.get(session, url, ranged) as response:
            if response.status_code != 416:
                if response.status_code != 206:
                    http.check_status(response, url)
                http.check_packing(response, url)
                if not _goes_on(response, start, _noted(part)):
                    # Another file now, or a server without ranges.
                    _forget(part)
                    if response.status_code == 206:
                        raise UpstreamError(
                            f"{http.shown(url)} sent another part of it.", answered=206
                        )
                    start = 0
                yield response, start
                return
        # There is nothing behind that byte: another file, or a crash came before its last step.
        _forget(part)
    with http.get(session, url, headers) as response:
        http.check_status(response, url)
        http.check_packing(response, url)
        yield response, 0


def _receive(
    pieces: Iterable[bytes],
    file: BinaryIO,
    limit: int,
    progress: Callable[[int], None] | None,
) -> None:
    """Write what comes; no more of it than shows that it is more than ``limit`` bytes."""
    for piece in pieces:
        file.write(piece[: limit + 1])
        limit -= len(piece)
        if progress:
            progress(len(piece))
        if limit < 0:
            return


def _resumable(part: Path, url: str, size: int | None, checksum: tuple[str, str] | None) -> int:
    """How many bytes of an earlier try can be gone on from."""
    try:
        have = part.stat().st_size
    except FileNotFoundError:
        return 0
    noted = _noted(part)
    # Without a checksum, only the very same answer may be gone on with.
    if noted.get("url") != url or (checksum is None and not _if_range(part)):
        return 0
    return have if size is None or have < size else 0


def _goes_on(response: requests.Response, start: int, noted: Mapping[str, str]) -> bool:
    """Whether this is the rest; not every server looks at If-Range before it sends one."""
    said = response.headers.get("Content-Range", "")
    is_same = all(
        response.headers.get(name, noted[name]) == noted[name]
        for name in _VALIDATORS
        if name in noted
    )
    return response.status_code == 206 and said.startswith(f"bytes {start}-") and is_same


def _if_range(part: Path) -> dict[str, str]:
    """Headers by which the rest comes only if the file is still the one that ``part`` is of."""
    noted = _noted(part)
    for name in _VALIDATORS:
        # Source: RFC 9110, 13.1.5: a weak tag cannot be used.
        if noted.get(name) and not noted[name].startswith("W/"):
            return {"If-Range": noted[name]}
    return {}


def _note(part: Path, response: requests.Response, url: str) -> None:
    noted = {name: response.headers[name] for name in _VALIDATORS if name in response.headers}
    # Ranges of what comes packed are not ranges of what is kept.
    resumable = {} if http.packing(response) else {"url": url, **noted}
    _notes(part).write_bytes(msgspec.json.encode(resumable))


def _noted(part: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(_notes(part).read_bytes(), type=dict[str, str])
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return {}


def _notes(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _unusable(part: Path, url: str, fault: str) -> WrongBytes:
    """The refusal of an answer, of which nothing is kept."""
    _forget(part)
    return WrongBytes(f"{http.shown(url)} {fault}.")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _notes(part).unlink(missing_ok=True)


def _length(response: requests.Response, start: int) -> int | None:
    """Bytes of the whole file as the answer has it; None when it does not say."""
    if http.packing(response):
        return None
    # Source: RFC 9110, 15.3.7: a server may send less than the range that it was asked for.
    whole = response.headers.get("Content-Range", "").rpartition("/")[2]
    if start and _NUMBER.fullmatch(whole):
        return int(whole)
    rest = response.headers.get("Content-Length", "")
    return start + int(rest) if _NUMBER.fullmatch(rest) else None


def _check_room(path: Path, size: int) -> None:
    room = shutil.disk_usage(path.parent).free
    if size > room:
        raise StorageError(f"{path.name} needs {size} more bytes on the disk, which has {room}.")


def _fault(part: Path, size: int | None, checksum: tuple[str, str] | None) -> str:
    if size is not None and part.stat().st_size != size:
        return f"has {part.stat().st_size} bytes, not {size}"
    if checksum is not None:
        algorithm, digest = checksum
        with part.open("rb") as file:
            if hashlib.file_digest(file, algorithm).hexdigest() != digest:
                return f"has other bytes than its {algorithm} says"
    return ""
