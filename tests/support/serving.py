"""A real portal: ``kc.eportal serve`` on free ports of the loopback."""

from __future__ import annotations

import itertools
import os
import random
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.support.commands import PROGRAM, CommandLine

START_SECONDS = 120

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10
_RANGE = range(12_000 + 2000 * _WORKER, 14_000 + 2000 * _WORKER)
#: Begins anywhere: two runs of the tests may go on at once.
_numbers = itertools.count(random.randrange(len(_RANGE)))


@dataclass(frozen=True)
class Served:
    """A portal that answers at ``url``; ``process`` minds its two halves."""

    url: str
    cli: CommandLine
    process: subprocess.Popen[bytes]
    log: Path

    def register(self, key: str, hostname: str = "web1") -> str:
        """Register a server; returns its id."""
        answer = requests.post(
            f"{self.url}/admin/api/register", data={"key": key, "hostname": hostname}, timeout=10
        )
        answer.raise_for_status()
        server: str = answer.json()["server_id"]
        return server


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different, and given to nobody else by this.

    The system gives a port that was closed again to whoever asks next, be it another process that
    runs tests: two servers would meet on it. So each process has a range of its own, below those
    that the system gives to clients.
    """
    found: list[int] = []
    while len(found) < count:
        port = _RANGE.start + next(_numbers) % len(_RANGE)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


@contextmanager
def serving(
    data_dir: Path, *options: str, program: str = PROGRAM, **settings: str
) -> Iterator[Served]:
    """Serve ``data_dir`` until the block ends."""
    port, admin_port = free_ports(2)
    ports = {"PORT": str(port), "ADMIN_PORT": str(admin_port)}
    cli = CommandLine(data_dir, {**ports, **settings}, program)
    log = data_dir.with_name(f"{data_dir.name}-serve-{port}.log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "serve", *options], env=cli.environ, stdout=output, stderr=output
        )
    served = Served(f"http://127.0.0.1:{port}", cli, process, log)
    try:
        _wait(served, "/readyz")
        if not options:
            # The admin process starts beside the agents' and may come later.
            _wait(served, "/admin/")
        yield served
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(served: Served, path: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if served.process.poll() is not None:
            break
        try:
            if requests.get(f"{served.url}{path}", timeout=2).ok:
                return
        except (requests.ConnectionError, requests.Timeout):
            pass
        time.sleep(0.05)
    raise AssertionError(f"the portal did not start:\n{served.log.read_text()}")
