"""The portal under test: its own processes, ports and data directory, used by its commands."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).with_name("kc.eportal")
LOOPBACK = "127.0.0.1"
COMMAND_SECONDS = 60
START_SECONDS = 30
STOP_SECONDS = 15


class PortalFailed(AssertionError):
    """A command or the server did not do what it should; the message holds its output."""


class Portal:
    """A portal with an empty data directory below ``directory``; ``port`` is the agents'."""

    def __init__(self, directory: Path) -> None:
        self.port, admin_port = _free_ports(2)
        self._log = directory / "serve.log"
        own = {
            "EPORTAL_DATA_DIR": str(directory / "data"),
            "EPORTAL_PORT": str(self.port),
            "EPORTAL_ADMIN_PORT": str(admin_port),
        }
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("EPORTAL_")}
        self._environment = inherited | own

    def run(self, *arguments: str | Path) -> str:
        """Run ``kc.eportal`` with these arguments; what it printed.

        Raises:
            PortalFailed: its exit code was not 0.
        """
        ended = subprocess.run(
            [COMMAND, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        if ended.returncode != 0:
            words = " ".join(map(str, arguments))
            raise PortalFailed(f"kc.eportal {words}: {ended.stdout}{ended.stderr}")
        return ended.stdout

    def server(self, server_id: str) -> dict[str, Any]:
        """What ``kc.eportal server --json`` shows of one server; empty if it shows none."""
        servers: list[dict[str, Any]] = json.loads(self.run("server", "--json"))
        return next((server for server in servers if server["id"] == server_id), {})

    def get(self, path: str, server_id: str = "") -> tuple[int, bytes]:
        """Ask the agents' port as a server would; status and body of the answer."""
        user = base64.b64encode(f"{server_id}:any".encode()).decode()
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=5)
        try:
            connection.request("GET", path, headers={"Authorization": f"Basic {user}"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """``kc.eportal serve``, from ready until it was asked to stop and did.

        Raises:
            PortalFailed: it does not start or does not stop; the message holds its log.
        """
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                [COMMAND, "serve"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            eventually(lambda: self._ready(process), START_SECONDS, "the portal is ready")
            yield
            process.terminate()
            process.wait(STOP_SECONDS)
        except Exception as error:
            error.add_note(f"The portal's log:\n{self._log.read_text(errors='replace')}")
            raise
        finally:
            _end_session(process)

    def _ready(self, process: subprocess.Popen[bytes]) -> bool:
        if process.poll() is not None:
            raise PortalFailed(f"kc.eportal serve ended with exit code {process.returncode}.")
        try:
            return self.get("/readyz")[0] == http.client.OK
        except OSError:
            return False


def eventually(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until ``holds()``: another process does it in its own time and tells nobody.

    Raises:
        PortalFailed: it still does not after ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise PortalFailed(f"After {seconds} seconds it is still not so that {what}.")
        time.sleep(0.1)


def _end_session(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the processes that ``serve`` started; none, when all went well."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((LOOPBACK, 0))) for _ in range(count)]
        return [bound.getsockname()[1] for bound in sockets]
