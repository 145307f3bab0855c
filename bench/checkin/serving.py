"""Starting a server as a real process on its core, and stopping it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import measure

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
START_LIMIT = 60.0
STOP_LIMIT = 15.0


@dataclass(frozen=True, eq=False)
class Variant:
    """One server to be measured.

    command: its command line for a port. stored: the facts stored for server ids, None where
    nothing is stored.
    """

    name: str
    command: Callable[[int], list[str]]
    environment: dict[str, str] = field(default_factory=dict)
    stored: Callable[[list[str]], dict[str, dict[str, Any]]] | None = None


@dataclass(frozen=True)
class Running:
    pid: int
    port: int


@contextmanager
def serving(variant: Variant, core: int, log: Path) -> Iterator[Running]:
    """The variant, ready to answer, for as long as the block runs."""
    port = free_port()
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *variant.command(port)],
            cwd=HERE,
            env={**os.environ, **variant.environment, "EPORTAL_PORT": str(port)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        _await_ready(variant, process, port, log)
        yield Running(process.pid, port)
    finally:
        if process.poll() is not None:
            print(f"{variant.name} ended by itself: {process.returncode}", file=sys.stderr)
        _stop(process)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def get(port: int, path: str, authorization: str | None = None) -> tuple[int, bytes]:
    """Status and body of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        headers = {"Connection": "close"}
        if authorization:
            headers["Authorization"] = authorization
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _await_ready(variant: Variant, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    limit = monotonic() + START_LIMIT
    while monotonic() < limit and process.poll() is None:
        try:
            if get(port, "/readyz")[0] == 200:
                return
        except OSError:
            pass
        sleep(0.05)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
    raise SystemExit(f"{variant.name} did not become ready; the end of its log:\n{tail}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to end, and end what is left of its tree if it does not."""
    family = measure.tree(process.pid)
    process.terminate()
    try:
        process.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.wait()
