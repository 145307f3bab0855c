"""What is no regular file is not served, and keeps nobody waiting."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from eportal_core.web.errors import HANDLERS
from eportal_core.web.files import serve_file


def asked(path: Path) -> int:
    """The status of the answer to a request for ``path``."""

    def file(request: Request) -> Response:
        return serve_file(request, path)

    app = Starlette(routes=[Route("/file", file)], exception_handlers=HANDLERS)
    return TestClient(app, raise_server_exceptions=False).get("/file").status_code


@pytest.mark.parametrize(
    "kind", ["pipe", "socket", "device", "folder", "loop", "long name", "below a file"]
)
def test_there_is_no_such_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "it"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "long name":
        path = tmp_path / ("a" * 300)
    else:
        path.write_bytes(b"")
        path /= "file"
    answers: list[int] = []
    # It may wait for ever, and this test must not.
    waiting = threading.Thread(target=lambda: answers.append(asked(path)), daemon=True)
    waiting.start()
    waiting.join(timeout=10)
    assert answers == [404]
