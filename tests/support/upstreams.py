"""Upstreams on the loopback: one that counts and fails at will, and a real nginx."""

from __future__ import annotations

import hashlib
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

from tests.support.polling import eventually
from tests.support.serving import free_ports

#: Pieces in which a body is sent, bytes.
PIECE = 1 << 16


@dataclass(frozen=True)
class Asked:
    """A request as it came; the names of its headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Upstream:
    """Serves ``files``, and remembers what it was asked.

    status: answered instead of any file. redirects: path -> address. cut: bytes of a body after
    which the connection ends. open: while it is not set, requests wait for their answer; and
    ``pace`` is a pause between two pieces of a body, seconds. validators: whether it sends ETag.
    """

    port: int
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    status: int = 0
    redirects: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    pace: float = 0.0
    validators: bool = True
    open: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        return [request.path for request in self.asked]


@contextmanager
def upstream(port: int = 0) -> Iterator[Upstream]:
    """Serve until the block ends; whoever waits then gets no answer."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            served.asked.append(Asked(self.command, self.path, headers))
            served.open.wait()
            if self.path in served.redirects:
                self.answer(302, {"Location": served.redirects[self.path]})
            elif served.status or self.path not in served.files:
                self.answer(served.status or 404, {})
            else:
                self.send_file(served.files[self.path], headers)

        def send_file(self, body: bytes, headers: dict[str, str]) -> None:
            tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            validators = {"ETag": tag} if served.validators else {}
            validators["Content-Type"] = served.types.get(self.path, "application/octet-stream")
            start = 0
            if served.validators and headers.get("if-none-match") == tag:
                self.answer(304, validators)
                return
            if "range" in headers and headers.get("if-range", tag) == tag:
                start = int(headers["range"].removeprefix("bytes=").partition("-")[0])
                validators["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                if start >= len(body):
                    self.answer(416, {"Content-Range": f"bytes */{len(body)}"})
                    return
            self.answer(206 if start else 200, validators, body[start:])

        def answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 304:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            whole = len(body) if served.cut is None else served.cut
            for start in range(0, min(len(body), whole), PIECE):
                self.wfile.write(body[start : min(start + PIECE, whole)])
                self.wfile.flush()
                time.sleep(served.pace)
            self.close_connection = whole < len(body)

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *arguments: object) -> None:
            """A client that is killed is no error."""

    with Server(("127.0.0.1", port), Handler) as server:
        served = Upstream(server.server_address[1])
        served.open.set()
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield served
        finally:
            served.open.set()
            server.shutdown()
            thread.join()


@contextmanager
def nginx(folder: Path, locations: str) -> Iterator[str]:
    """A real nginx with ``locations`` in its one server; gives its address."""
    folder.mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    paths = "\n".join(
        f"    {kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"pid {folder}/pid;\nerror_log {folder}/error.log;\ndaemon off;\nworker_processes 1;\n"
        "user root;\nevents {}\n"
        f"http {{\n{paths}\n    access_log off;\n    server {{\n        listen 127.0.0.1:{port};\n"
        f"{locations}\n    }}\n}}\n"
    )
    process = subprocess.Popen(
        ["/usr/sbin/nginx", "-c", str(config), "-p", str(folder), "-e", f"{folder}/error.log"]
    )
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: _answers(url, process))
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "nginx ended"
    try:
        requests.get(url, timeout=2)
    except requests.ConnectionError:
        return False
    return True
