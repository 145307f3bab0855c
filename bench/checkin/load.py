"""Saturation with wrk: closed loop, a new connection for every request.

Latency at saturation is the length of the queue; paced.py measures the latency of a check-in.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 32
SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True)
class Saturated:
    """requests: answered. seconds, p50, p99: seconds. bad: not 2xx or 3xx. broken: no answer."""

    requests: int
    seconds: float
    p50: float
    p99: float
    bad: int
    broken: int

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def saturate(port: int, requests: Path, start: int, seconds: int, core: int) -> Saturated:
    """Send the check-ins of the file ``requests`` from line ``start`` on, for ``seconds``."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise SystemExit("wrk is not installed: apt-get install wrk")
    command = ["taskset", "-c", str(core), wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s"]
    command += ["--timeout", "5s", "-s", str(SCRIPT), f"http://127.0.0.1:{port}"]
    command += ["--", str(requests), str(start)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    if run.returncode:
        raise SystemExit(f"wrk failed: {run.stdout}{run.stderr}")
    return Saturated(**json.loads(run.stdout.splitlines()[-1]))
