"""What benches share: a server as a process of its own, and an agent that is registered at it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.polling import eventually

KC = Path(sys.executable).with_name("kc.eportal")


def command(environ: dict[str, str], *arguments: object) -> None:
    """Run ``kc.eportal`` to its end; ``environ`` is added to the environment."""
    subprocess.run(
        [KC, *map(str, arguments)],
        env={**os.environ, **environ},
        check=True,
        stdout=subprocess.DEVNULL,
    )


@contextmanager
def running(port: int, *program: object, **environ: str) -> Iterator[int]:
    """The pid of a server, once it listens."""
    process = subprocess.Popen(
        list(map(str, program)),
        env={**os.environ, **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: _listens(port), 30)
        yield process.pid
    finally:
        process.terminate()
        process.wait(15)


def register(port: int) -> str:
    """The id of a server that is registered with the key BENCH."""
    url = f"http://127.0.0.1:{port}/admin/api/kcare/register_server.plain?key=BENCH&hostname=b"
    with urllib.request.urlopen(url, timeout=10) as answer:
        server = re.search(rb"server_id:(\S+)", answer.read())
    assert server is not None
    return server[1].decode()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
