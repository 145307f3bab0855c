"""Requests that the portal sends: every session is made here, every download ends verified.

Nothing that an upstream says is believed: lengths are counted, hashes compared, and an answer that
stops early is continued next time where it stopped.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit, urlunsplit

import msgspec
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from eportal_core.errors import StorageError, UpstreamError
from eportal_core.storage import disk_errors, sync_folder

#: Seconds to connect, and seconds that may pass between two pieces of an answer.
TIMEOUT = (10, 60)
#: Answers that a second try may change. Source: RFC 9110, 15.5 and 15.6; RFC 6585, 4.
_WORTH_ANOTHER_TRY = frozenset({429, 500, 502, 503, 504})
#: A server may ask for a pause, but not for one longer than this, seconds.
LONGEST_WAIT = 60
_PIECE = 1 << 18
#: How a download that stopped is told apart from another answer to the same address.
_VALIDATORS = ("ETag", "Last-Modified")


class _Retry(Retry):
    """Waits as long as the server asks, within reason."""

    def get_retry_after(self, response: urllib3.BaseHTTPResponse) -> float | None:
        wait = super().get_retry_after(response)
        return None if wait is None else min(wait, LONGEST_WAIT)


class _Adapter(HTTPAdapter):
    """Waits no longer than ``TIMEOUT``, unless the request says otherwise."""

    def send(  # type: ignore[no-untyped-def]
        self, request, stream=False, timeout=None, verify=True, cert=None, proxies=None
    ) -> requests.Response:
        return super().send(
            request,
            stream=stream,
            timeout=TIMEOUT if timeout is None else timeout,
            verify=verify,
            cert=cert,
            proxies=proxies,
        )


def new_session(
    user: str | None = None, password: str | None = None, *, tries: int = 4
) -> requests.Session:
    """A session for one upstream; with ``user``, it identifies itself by Basic authentication.

    It is for one thread. tries: after a refused connection or an overloaded server, with growing
    pauses between them. Proxies are taken from the environment.
    """
    session = requests.Session()
    retry = _Retry(
        total=tries - 1,
        backoff_factor=0.5,
        status_forcelist=_WORTH_ANOTHER_TRY,
        allowed_methods=("GET", "HEAD"),
        raise_on_status=False,
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(max_retries=retry))
    session.headers["User-Agent"] = "ePortal"
    # Bytes as they are stored there: what is hashed and resumed may not be packed on the way.
    session.headers["Accept-Encoding"] = "identity"
    if user is not None:
        session.auth = (user, password or "")
    return session


@contextmanager
def get(
    session: requests.Session, url: str, headers: Mapping[str, str] | None = None
) -> Iterator[requests.Response]:
    """The answer to a GET, its body not read yet; one with an error status is an answer too.

    Raises:
        UpstreamError: there is no answer, or, inside the block, the rest of it does not come.
    """
    try:
        with session.get(url, headers=headers, stream=True) as response:
            yield response
    except requests.RequestException as error:
        reason = _reason(error).replace(url, shown(url))
        raise UpstreamError(f"{shown(url)} cannot be had: {reason}.") from error


def read(session: requests.Session, url: str, limit: int) -> bytes:
    """The whole body of a small file, at most ``limit`` bytes.

    Raises:
        UpstreamError: no answer, an error status, or a longer body.
    """
    with get(session, url) as response:
        check_status(response, url)
        body = b""
        for piece in response.iter_content(_PIECE):
            body += piece
            if len(body) > limit:
                raise UpstreamError(f"{shown(url)} is longer than {limit} bytes.")
        return body


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
        UpstreamError: no answer, an error status, or other bytes than they must be.
        StorageError: the disk refused, or has not enough room.
    """
    part = path.with_name(f"{path.name}.part")
    limit = limit if size is None else size
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        start = _resumable(part, url, size, checksum)
        with _rest(session, url, part, start, headers or {}) as (response, start):
            _note(part, response, url)
            total = _length(response, start)
            if size is not None and total not in (None, size):
                raise _unusable(part, url, f"has {total} bytes, not {size}")
            if total is not None and total > limit:
                raise _unusable(part, url, f"is longer than {limit} bytes")
            _check_room(path, (total or size or 0) - start)
            with part.open("ab" if start else "wb") as file:
                _receive(response, file, limit - start, progress)
                file.flush()
                os.fsync(file.fileno())
                found = file.tell()
            if found > limit:
                raise _unusable(part, url, f"is longer than {limit} bytes")
            if total is not None and found < total:
                raise UpstreamError(f"{shown(url)} stopped after {found} of {total} bytes.")
        if fault := _fault(part, size, checksum):
            raise _unusable(part, url, fault)
        part.replace(path)
        _forget(part)
        sync_folder(path.parent)
    return response.headers


def check_status(response: requests.Response, url: str) -> None:
    """Refuse an answer that is not the file.

    Raises:
        UpstreamError: its status is not 200, or 206.
    """
    if response.status_code not in (200, 206):
        raise UpstreamError(
            f"{shown(url)} answered {response.status_code} {response.reason}.",
            answered=response.status_code,
        )


def shown(url: str) -> str:
    """An address without the password that may stand in it."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


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
        with get(session, url, ranged) as response:
            if response.status_code != 416:
                check_status(response, url)
                if not _goes_on(response, start):
                    # Another file now, or a server without ranges.
                    _forget(part)
                    if response.status_code == 206:
                        raise UpstreamError(f"{shown(url)} sent another part of it.", answered=206)
                    start = 0
                yield response, start
                return
        # There is nothing behind that byte: another file, or a crash came before its last step.
        _forget(part)
    with get(session, url, headers) as response:
        check_status(response, url)
        yield response, 0


def _receive(
    response: requests.Response,
    file: BinaryIO,
    limit: int,
    progress: Callable[[int], None] | None,
) -> None:
    """Write what comes; no more of it than shows that it is more than ``limit`` bytes."""
    for piece in response.iter_content(_PIECE):
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


def _goes_on(response: requests.Response, start: int) -> bool:
    said = response.headers.get("Content-Range", "")
    return response.status_code == 206 and said.startswith(f"bytes {start}-")


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
    _notes(part).write_bytes(msgspec.json.encode({"url": url, **noted}))


def _noted(part: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(_notes(part).read_bytes(), type=dict[str, str])
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return {}


def _notes(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _unusable(part: Path, url: str, fault: str) -> UpstreamError:
    """The refusal of an answer, of which nothing is kept."""
    _forget(part)
    return UpstreamError(f"{shown(url)} {fault}.")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _notes(part).unlink(missing_ok=True)


def _length(response: requests.Response, start: int) -> int | None:
    """Bytes of the whole file as the answer has it; None when it does not say."""
    text = response.headers.get("Content-Length", "")
    return start + int(text) if text.isdecimal() else None


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


def _reason(error: Exception) -> str:
    """The innermost cause, in one line; the wrapping says nothing to a person."""
    cause: BaseException = error
    while cause.__context__ is not None:
        cause = cause.__context__
    return " ".join(str(getattr(cause, "strerror", None) or cause).split()).rstrip(".")
