"""Requests that the portal sends, to an upstream that breaks off, changes, lies or is away."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from eportal_core import http
from eportal_core.config import Config
from eportal_core.downloads import download
from eportal_core.errors import StorageError, UpstreamError

CONFIG = Config.of(Path("/var/lib/eportal"))
BODY = bytes(range(256)) * 4000
SHA256 = ("sha256", hashlib.sha256(BODY).hexdigest())
ETAG = '"one"'


@dataclass
class Upstream:
    """Serves ``body``; each request does what is next in ``plan``, else answers well."""

    url: str = ""
    body: bytes = BODY
    etag: str | None = ETAG
    plan: list[Callable[[Any], None]] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)


def answer(handler: Any, upstream: Upstream, *, sent: int | None = None) -> None:
    """A good answer, ranges included, of which ``sent`` bytes leave before it breaks off."""
    asked = handler.headers
    start = int(asked["Range"].removeprefix("bytes=").rstrip("-")) if asked["Range"] else 0
    if asked["If-Range"] not in (None, upstream.etag):
        start = 0
    part = upstream.body[start:]
    handler.send_response(206 if start else 200)
    if start:
        total = len(upstream.body)
        handler.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
    handler.send_header("Content-Length", str(len(part)))
    if upstream.etag:
        handler.send_header("ETag", upstream.etag)
    handler.end_headers()
    handler.wfile.write(part[:sent])
    handler.wfile.flush()
    if sent is not None:
        handler.connection.shutdown(socket.SHUT_RDWR)


def status(code: int, **headers: str) -> Callable[[Any], None]:
    def say(handler: Any) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return say


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    served = Upstream()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(dict(self.headers))
            if served.plan:
                served.plan.pop(0)(self)
            else:
                answer(self, served)

        def log_message(self, *arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}/file"
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def cut(upstream: Upstream, sent: int) -> Callable[[Any], None]:
    return lambda handler: answer(handler, upstream, sent=sent)


def fetch(upstream: Upstream, path: Path, **options: Any) -> None:
    with http.new_session(CONFIG, tries=2) as session:
        download(session, upstream.url, path, **{"limit": 10**9, **options})


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole_and_leaves_nothing_beside_it(
    upstream: Upstream, tmp_path: Path
) -> None:
    told: list[int] = []
    fetch(upstream, tmp_path / "file", size=len(BODY), checksum=SHA256, progress=told.append)
    assert (tmp_path / "file").read_bytes() == BODY
    assert left(tmp_path) == ["file"]
    assert sum(told) == len(BODY)


@pytest.mark.parametrize("checksum", [SHA256, None], ids=["by checksum", "by ETag"])
def test_what_broke_off_goes_on_where_it_stopped(
    upstream: Upstream, tmp_path: Path, checksum: tuple[str, str] | None
) -> None:
    upstream.plan = [cut(upstream, 500_000)]
    with pytest.raises(UpstreamError):
        fetch(upstream, tmp_path / "file", checksum=checksum)
    assert not (tmp_path / "file").exists()
    have = (tmp_path / "file.part").stat().st_size
    assert 0 < have <= 500_000
    fetch(upstream, tmp_path / "file", checksum=checksum)
    assert upstream.asked[-1]["Range"] == f"bytes={have}-"
    assert (tmp_path / "file").read_bytes() == BODY
    assert left(tmp_path) == ["file"]


def test_a_file_that_changed_meanwhile_is_fetched_from_its_beginning(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.plan = [cut(upstream, 500_000)]
    with pytest.raises(UpstreamError):
        fetch(upstream, tmp_path / "file")
    upstream.body, upstream.etag = b"new" * 1000, '"two"'
    fetch(upstream, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"new" * 1000


def test_without_checksum_and_etag_nothing_is_gone_on_with(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.etag = None
    upstream.plan = [cut(upstream, 500_000)]
    with pytest.raises(UpstreamError):
        fetch(upstream, tmp_path / "file")
    fetch(upstream, tmp_path / "file")
    assert "Range" not in upstream.asked[-1]
    assert (tmp_path / "file").read_bytes() == BODY


def test_a_range_that_begins_elsewhere_is_not_believed(upstream: Upstream, tmp_path: Path) -> None:
    upstream.plan = [cut(upstream, 500_000), status(206, Content_Range="bytes 7-9/10")]
    for _ in range(2):
        with pytest.raises(UpstreamError):
            fetch(upstream, tmp_path / "file")
    fetch(upstream, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == BODY


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"checksum": ("sha256", "0" * 64)}, "has other bytes than its sha256 says"),
        ({"size": 17}, "has 1024000 bytes, not 17"),
        ({"limit": 100_000}, "is longer than 100000 bytes"),
    ],
)
def test_other_bytes_than_expected_are_refused_and_forgotten(
    upstream: Upstream, tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UpstreamError, match=sentence):
        fetch(upstream, tmp_path / "file", **options)
    assert left(tmp_path) == []


def test_a_body_without_length_that_does_not_end_is_cut(upstream: Upstream, tmp_path: Path) -> None:
    def endless(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(bytes(65536))
        except OSError:
            pass

    upstream.plan = [endless, endless]
    with pytest.raises(UpstreamError, match="is longer than 1000000 bytes"):
        fetch(upstream, tmp_path / "file", limit=1_000_000)
    refusal = pytest.raises(UpstreamError, match="longer than 1000")
    with http.new_session(CONFIG) as session, refusal:
        http.read(session, upstream.url, 1000)


def test_an_error_status_is_told(upstream: Upstream, tmp_path: Path) -> None:
    upstream.plan = [status(404)]
    with pytest.raises(UpstreamError, match="answered 404 Not Found") as refusal:
        fetch(upstream, tmp_path / "file")
    assert refusal.value.answered == 404
    assert left(tmp_path) == []


def test_an_upstream_does_not_steer_the_terminal(upstream: Upstream, tmp_path: Path) -> None:
    def colour(handler: Any) -> None:
        handler.send_response(403, "\x1b]0;title\x07red\x9b")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    upstream.plan = [colour]
    with pytest.raises(UpstreamError, match=r"answered 403 ]0;titlered\.$"):
        fetch(upstream, tmp_path / "file")


def test_a_password_in_a_redirect_is_not_told(upstream: Upstream, tmp_path: Path) -> None:
    upstream.plan = [status(302, Location="ftp://anna:let-me-in@127.0.0.1/file")]
    with pytest.raises(UpstreamError, match="cannot be had") as refusal:
        fetch(upstream, tmp_path / "file")
    assert "ftp://127.0.0.1/file" in str(refusal.value)
    assert "let-me-in" not in str(refusal.value)


def test_an_overloaded_upstream_is_asked_again(upstream: Upstream, tmp_path: Path) -> None:
    upstream.plan = [status(429, Retry_After="0")]
    fetch(upstream, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == BODY
    assert len(upstream.asked) == 2


def test_an_upstream_that_trickles_is_given_up_and_gone_on_with(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = threading.Event()

    def trickle(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("ETag", ETAG)
        handler.send_header("Content-Length", str(len(BODY)))
        handler.end_headers()
        with suppress(OSError):
            # A good beginning does not make up for what follows.
            handler.wfile.write(BODY[:100_000])
            for byte in BODY[100_000:]:
                handler.wfile.write(bytes([byte]))
                time.sleep(0.01)
        gone.set()

    upstream.plan = [trickle, trickle]
    monkeypatch.setattr(http, "PATIENCE", 0.2)
    for _ in range(2):
        with pytest.raises(UpstreamError, match="comes too slowly"):
            fetch(upstream, tmp_path / "file", checksum=SHA256)
        assert gone.wait(10)
        gone.clear()
    have = (tmp_path / "file.part").stat().st_size
    assert have > 100_000
    fetch(upstream, tmp_path / "file", checksum=SHA256)
    assert upstream.asked[-1]["Range"] == f"bytes={have}-"
    assert (tmp_path / "file").read_bytes() == BODY


def test_a_slow_line_is_borne_with(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        for start in range(0, len(BODY), 1 << 17):
            handler.wfile.write(BODY[start : start + (1 << 17)])
            time.sleep(0.1)

    upstream.plan = [slow]
    monkeypatch.setattr(http, "PATIENCE", 0.15)
    fetch(upstream, tmp_path / "file", checksum=SHA256)
    assert (tmp_path / "file").read_bytes() == BODY


def test_a_pause_that_an_upstream_asks_for_is_bounded() -> None:
    retry = http.new_session(CONFIG).get_adapter("http://x").max_retries
    response = type("Answer", (), {"headers": {"Retry-After": "86400"}})()
    assert retry.get_retry_after(response) == http.LONGEST_WAIT


def test_an_upstream_that_is_not_there_is_told_without_its_password(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://user:secret@127.0.0.1:{taken.getsockname()[1]}/file?token=secret"
        with http.new_session(CONFIG, tries=1) as session, pytest.raises(UpstreamError) as refusal:
            download(session, url, tmp_path / "file", limit=1)
    assert "Connection refused" in str(refusal.value)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "http://", "no address", "file:///etc/hosts"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    with http.new_session(CONFIG) as session, pytest.raises(UpstreamError):
        download(session, url, tmp_path / "file", limit=1)


def test_the_password_is_sent_to_the_upstream_and_to_no_other_host(
    upstream: Upstream, tmp_path: Path
) -> None:
    elsewhere = upstream.url.replace("127.0.0.1", "localhost")
    upstream.plan = [status(302, Location=elsewhere)]
    with http.new_session(CONFIG, "me", "secret") as session:
        download(session, upstream.url, tmp_path / "file", limit=10**9)
    first, second = upstream.asked
    assert first["Authorization"].startswith("Basic ")
    assert "Authorization" not in second


def test_a_password_goes_without_a_user_too(upstream: Upstream, tmp_path: Path) -> None:
    with http.new_session(CONFIG, None, "secret") as session:
        download(session, upstream.url, tmp_path / "file", limit=10**9)
    assert upstream.asked[0]["Authorization"] == f"Basic {b64encode(b':secret').decode()}"


def test_too_little_room_is_noticed_before_anything_comes(
    upstream: Upstream, tmp_path: Path
) -> None:
    def vast(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(10**15))
        handler.end_headers()

    upstream.plan = [vast]
    with pytest.raises(StorageError, match="needs 1000000000000000 more bytes"):
        fetch(upstream, tmp_path / "file", limit=10**16)
    assert "file" not in left(tmp_path)


def test_a_file_that_cannot_be_written_is_a_refusal_of_the_disk(
    upstream: Upstream, tmp_path: Path
) -> None:
    (tmp_path / "file.part").mkdir()
    with pytest.raises(StorageError, match="The disk refused"):
        fetch(upstream, tmp_path / "file")
