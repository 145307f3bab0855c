"""An upstream of package repositories: a small HTTP server that counts, and fails on purpose."""

from __future__ import annotations

import base64
import http.server
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

USER, PASSWORD = "portal", "s3cret"


@dataclass
class Upstream:
    """url: where it serves ``folder``. requests: paths asked for. sent: bytes of bodies by path.

    cut: part of a path, and the bytes after which an answer to it breaks off.
    broken: parts of paths that answer 403. before: called with each path before it is answered.
    """

    folder: Path
    url: str = ""
    requests: list[str] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    before: Callable[[str], object] = lambda path: None

    def forget(self) -> None:
        self.requests.clear()
        self.sent.clear()


@contextmanager
def upstream(folder: Path) -> Iterator[Upstream]:
    """Serve ``folder`` to ``USER`` until the block ends; ranges work."""
    state = Upstream(folder)

    class Handler(_Handler):
        upstream = state

    with _Server(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *arguments: object) -> None:
        """A client that had enough."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream: Upstream

    def do_GET(self) -> None:
        state, path = self.upstream, self.path
        state.requests.append(path)
        state.before(path)
        expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        file = state.folder / path.lstrip("/")
        if self.headers["Authorization"] != f"Basic {expected}":
            self._answer(401, b"")
        elif any(part in path for part in state.broken):
            self._answer(403, b"")
        elif not file.is_file():
            self._answer(404, b"")
        else:
            self._send(path, file.read_bytes())

    def _send(self, path: str, data: bytes) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        start = int(asked[1]) if asked else 0
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        limit = min((n for part, n in self.upstream.cut.items() if part in path), default=None)
        body = data[start:]
        whole = body if limit is None else body[:limit]
        self.upstream.sent[path] = self.upstream.sent.get(path, 0) + len(whole)
        self._answer(206 if start else 200, body, whole, headers)

    def _answer(
        self,
        status: int,
        body: bytes,
        sent: bytes | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body if sent is None else sent)
        if sent is not None and sent != body:
            self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        """Nobody reads it."""
