"""Requests for ``/repo`` whose portal dies before a chosen change on the disk.

``python -m tests.support.mortal_fetch DATA_DIR UPSTREAM PATH`` loads everything once, and forks a
portal for each line it reads: the number of the step before which it is killed, 0 for none. It
answers each with a line of JSON: how the portal ended, and what it said.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from starlette.applications import Starlette
from starlette.testclient import TestClient

from eportal_core.portal import Portal
from eportal_kernelcare.packages.repository import repository_routes
from tests.support.mortal import watch
from tests.support.opening import opened


def _die_before(folder: str, number: int) -> None:
    count = 0

    def step(kind: str, subject: str) -> None:
        nonlocal count
        if kind not in ("sync", "sql") and subject.startswith(folder):
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

    watch(folder, step)


def _ask(portal: Portal, path: str, die_at: int, output: int) -> None:
    """The forked process: it does not return."""
    try:
        with TestClient(Starlette(routes=repository_routes(portal))) as client:
            if die_at:
                _die_before(str(portal.config.data_dir / "cache"), die_at)
            answer = client.get(f"/repo{path}")
            os.write(output, json.dumps([answer.status_code, answer.text]).encode())
    finally:
        os._exit(0)


def main() -> None:
    data_dir, url, path = sys.argv[1:]
    portal = opened(Path(data_dir), AGENT_REPO_URL=url, AGENT_REPO_FRESH=0)
    for line in sys.stdin:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            _ask(portal, path, int(line), writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read().decode()
        _, status = os.waitpid(pid, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), said]), flush=True)


if __name__ == "__main__":
    main()
