"""The first command of the README shows a fleet, and leaves no process behind."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.support.commands import CommandLine
from tests.support.polling import eventually
from tests.support.serving import free_ports

DEMO = Path(__file__).parent.parent / "examples/demo/run.py"


@contextmanager
def demo(cli: CommandLine) -> Iterator[str]:
    """What a demo prints until it runs; the block has it running."""
    process = subprocess.Popen(
        [sys.executable, DEMO, cli.data_dir],
        env={**cli.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        told = []
        for line in process.stdout:
            told.append(line)
            if line.startswith("Ctrl-C"):
                break
        yield "".join(told)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_the_demo_shows_a_fleet_and_what_to_try(data_dir: Path) -> None:
    port, admin_port = free_ports(2)
    cli = CommandLine(data_dir, {"PORT": str(port), "ADMIN_PORT": str(admin_port)})
    url = f"http://127.0.0.1:{port}"
    with demo(cli) as told:
        users = passwords(told)
        assert f"{url}/admin/login" in told
        fleet = cli.json("server")
        assert len(fleet) >= 200
        assert {server["feed"] for server in fleet} == {"main", "test", "delayed", "pilot"}
        assert [server["hostname"] for server in fleet if server["clones"]]
        assert len(cli.json("kcare", "list")) == 25
        assert may_add_a_key(url, "admin", users["admin"])
        assert not may_add_a_key(url, "viewer", users["viewer"])

        # The very lines that the reader is told to try: the agent hears of what was rolled out.
        before = offered(told)
        (roll_out,) = re.findall(r"^  kc\.eportal (kcare enable-up-to .*?) *#", told, re.M)
        cli.ok(*shlex.split(roll_out))
        eventually(lambda: offered(told) == before + 1)
        cli.ok("kcare", "verify")

    assert (data_dir / "demo-passwords").stat().st_mode & 0o777 == 0o600
    with demo(cli) as again:
        assert passwords(again) == users
        assert "$ kc.eportal" not in again
        assert len(cli.json("server")) == len(fleet)


def passwords(told: str) -> dict[str, str]:
    return dict(re.findall(r"^  (admin|viewer) +(\S+)", told, re.M))


def offered(told: str) -> int:
    """What the agent hears whose request is printed."""
    (curl,) = (line for line in told.splitlines() if "curl -u" in line)
    credentials, url = curl.split()[2:4]
    user, _, password = credentials.partition(":")
    return int(requests.get(url, auth=(user, password), timeout=10).text)


def may_add_a_key(url: str, user: str, password: str) -> bool:
    answer = requests.post(
        f"{url}/admin/api/keys", auth=(user, password), json={"key": f"of-{user}"}, timeout=10
    )
    assert answer.status_code in (200, 403), answer.text
    return answer.ok
