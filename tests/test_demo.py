"""The first command of the README shows a fleet, and leaves no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import requests

from tests.support.commands import CommandLine
from tests.support.serving import free_ports

DEMO = Path(__file__).parent.parent / "examples/demo/run.py"


def test_the_demo_shows_a_fleet_and_what_to_try(data_dir: Path) -> None:
    port, admin_port = free_ports(2)
    cli = CommandLine(data_dir, {"PORT": str(port), "ADMIN_PORT": str(admin_port)})
    demo = subprocess.Popen(
        [sys.executable, DEMO, data_dir],
        env={**cli.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert demo.stdout is not None
        told = []
        for line in demo.stdout:
            told.append(line)
            if line.startswith("Ctrl-C"):
                break
        text = "".join(told)
        assert "kc.eportal kcare enable-up-to K20260915_01" in text
        # The very line that the reader is told to try.
        (curl,) = (line for line in told if "curl -u" in line)
        credentials, url = curl.split()[2:4]
        assert requests.get(url, auth=tuple(credentials.split(":")), timeout=10).text.isdigit()
        fleet = cli.json("server")
        assert len(fleet) == 24
        assert {server["feed"] for server in fleet} == {"main", "test"}
        assert all(server["patchset"] for server in fleet if server["patch_level"])
        assert "24" in requests.get(f"http://127.0.0.1:{port}/admin/", timeout=10).text
    finally:
        os.killpg(demo.pid, signal.SIGINT)
        demo.communicate(timeout=30)
    assert demo.returncode == 0
