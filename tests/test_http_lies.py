"""Answers that no upstream should give: a sentence about each, and no file that is not the file."""

from __future__ import annotations

import gzip
import socket
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from eportal_core import http
from eportal_core.config import Config
from eportal_core.downloads import download
from eportal_core.errors import UpstreamError

CONFIG = Config.of(Path("/var/lib/eportal"))
BODY = bytes(range(256)) * 2000
#: Bytes that are kept when an answer breaks off before its end.
KEPT = len(BODY) - 1000
Serve = Callable[..., str]


def said(status: str, *headers: str, body: bytes = b"") -> bytes:
    head = "\r\n".join((f"HTTP/1.1 {status}", *headers, "Connection: close", "", ""))
    return head.encode("latin-1") + body


def whole(*headers: str, body: bytes = BODY) -> bytes:
    return said("200 OK", f"Content-Length: {len(body)}", *headers, body=body)


def rest(start: int, *headers: str, end: int = len(BODY), body: bytes = BODY) -> bytes:
    """The bytes from ``start`` to ``end`` of a file that has more, unless ``end`` is its end."""
    place = f"Content-Range: bytes {start}-{end - 1}/{len(body)}"
    length = f"Content-Length: {end - start}"
    return said("206 Partial Content", place, length, *headers, body=body[start:end])


@pytest.fixture
def asked() -> list[bytes]:
    """The heads of the requests that came."""
    return []


@pytest.fixture
def serve(asked: list[bytes]) -> Iterator[Serve]:
    """Gives each connection the next of the answers, as they are."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(answers: tuple[bytes, ...]) -> None:
        with suppress(OSError):
            for each in answers:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    head = b""
                    while not head.endswith(b"\r\n\r\n"):
                        head += connection.recv(65536)
                    asked.append(head)
                    connection.sendall(each)

    def start(*answers: bytes) -> str:
        threading.Thread(target=answer, args=[answers], daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/file"

    yield start
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def fetch(url: str, path: Path) -> None:
    with http.new_session(CONFIG, tries=2) as session:
        download(session, url, path, limit=10**6)


@pytest.mark.parametrize(
    "answer",
    [
        said("302 Found", "Location: http://[/x", "Content-Length: 0"),
        said("302 Found", "Location: http://elsewhere/\xff", "Content-Length: 0"),
        said("302 Found", "Location: http://127.0.0.1:99999/", "Content-Length: 0"),
        said("302 Found", "Location: http://a..b/", "Content-Length: 0"),
        said("503 Busy", "Retry-After: Fri, 31 Dec 999999 00:00:00 GMT", "Content-Length: 0"),
        said("200 OK", "Transfer-Encoding: chunked", body=b"-5\r\nabc"),
        said("200 OK", "Content-Encoding: br", "Content-Length: 3", body=b"abc"),
        rest(5, end=8),
    ],
    ids=["no host", "not UTF-8", "port", "dots", "date", "chunk", "packed", "206 unasked"],
)
def test_it_is_told_and_nothing_is_taken_for_the_file(
    serve: Serve, tmp_path: Path, answer: bytes
) -> None:
    with pytest.raises(UpstreamError):
        fetch(serve(answer), tmp_path / "file")
    assert not (tmp_path / "file").exists()
    with http.new_session(CONFIG, tries=2) as session, pytest.raises(UpstreamError):
        http.read(session, serve(answer), 10**6)


def test_a_length_of_thousands_of_digits_says_nothing(serve: Serve, tmp_path: Path) -> None:
    fetch(serve(said("200 OK", f"Content-Length: {'9' * 5000}", body=BODY)), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == BODY


def test_less_of_the_rest_than_was_asked_for_is_not_all_of_it(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "file"
    url = serve(whole('ETag: "1"')[:-1000], rest(KEPT, end=KEPT + 400))
    with pytest.raises(UpstreamError):
        fetch(url, path)
    with pytest.raises(UpstreamError, match=f"stopped after {KEPT + 400} of {len(BODY)}"):
        fetch(url, path)
    assert not path.exists()


def test_more_than_the_rest_is_not_the_file(serve: Serve, tmp_path: Path) -> None:
    place = f"Content-Range: bytes {KEPT}-{len(BODY) - 1}/{len(BODY)}"
    url = serve(
        whole('ETag: "1"')[:-1000], said("206 Partial Content", place, body=BODY[KEPT:] + b"more")
    )
    with pytest.raises(UpstreamError):
        fetch(url, tmp_path / "file")
    with pytest.raises(UpstreamError, match=f"has {len(BODY) + 4} bytes, not {len(BODY)}"):
        fetch(url, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_the_rest_of_another_file_is_not_joined_to_this_one(serve: Serve, tmp_path: Path) -> None:
    path, other = tmp_path / "file", BODY[::-1]
    answers = [
        whole('ETag: "1"')[:-1000],
        # It looked at Range, and not at If-Range.
        rest(KEPT, 'ETag: "2"', body=other),
        whole('ETag: "2"', body=other),
    ]
    url = serve(*answers)
    for _ in range(2):
        with pytest.raises(UpstreamError):
            fetch(url, path)
        assert not path.exists()
    fetch(url, path)
    assert path.read_bytes() == other


def test_what_comes_packed_is_not_gone_on_with(
    serve: Serve, asked: list[bytes], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    packed = whole('ETag: "1"', "Content-Encoding: gzip", body=gzip.compress(BODY, 0))
    url = serve(packed[:-1000], packed)
    with pytest.raises(UpstreamError):
        fetch(url, path)
    fetch(url, path)
    assert path.read_bytes() == BODY
    assert not any(b"Range:" in head for head in asked)


def test_a_password_may_be_of_any_letters(serve: Serve, asked: list[bytes], tmp_path: Path) -> None:
    with http.new_session(CONFIG, "anna", "пароль €") as session:
        download(session, serve(whole()), tmp_path / "file", limit=10**6)
    (line,) = [line for line in asked[0].split(b"\r\n") if line.startswith(b"Authorization: ")]
    assert b64decode(line.split()[-1]).decode() == "anna:пароль €"
