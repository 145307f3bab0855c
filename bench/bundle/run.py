"""``kpatch.tgz`` against a static file of the same bytes, in turns.

``python bench/bundle/run.py [--rounds 5] [--seconds 4]``; see README.md beside this file.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.portal import KC, command, register, running
from tests.support.serving import free_ports

HERE = Path(__file__).parent
#: Bytes of the patch in a bundle; random, so the bundle is about as large.
SIZES = (10_000, 300_000, 3_000_000)
SERVER_CORE, LOAD_CORE = 0, 1
ON_CORE = ("taskset", "-c", SERVER_CORE)
CONNECTIONS = 8


def build_id(size: int) -> str:
    return f"{size:040x}"


def prepare(folder: Path) -> Path:
    """A portal with a bundle of each size, and a folder with copies of them; returns that."""
    data_dir, static = folder / "var", folder / "static"
    environ = {"EPORTAL_DATA_DIR": str(data_dir)}
    for size in SIZES:
        place = folder / "patches" / build_id(size) / "1"
        place.mkdir(parents=True)
        (place / "kpatch.bin").write_bytes(os.urandom(size))
    archive = folder / "U20260101_01.tar.gz"
    command(environ, "libcare", "pack", folder / "patches", "-o", archive)
    command(environ, "libcare", "deploy", archive)
    command(environ, "key", "-a", "BENCH")
    static.mkdir()
    for size in SIZES:
        bundle = data_dir / "user-resources" / build_id(size) / "1.tgz"
        shutil.copy(bundle, static / build_id(size))
    return static


def fetch(url: str, header: str) -> bytes:
    request = urllib.request.Request(url, headers=dict([header.split(": ")]))
    with urllib.request.urlopen(request, timeout=10) as answer:
        body: bytes = answer.read()
    return body


def cpu(pid: int) -> float:
    """Seconds of CPU that the process has used, user and system. Source: proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cost(pid: int, url: str, header: str, seconds: int) -> float:
    """Microseconds of the server's CPU for a request, under as many as it can answer."""
    before = cpu(pid)
    wrk = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-H", header, url]
    done = subprocess.run(
        ["taskset", "-c", str(LOAD_CORE), *wrk], capture_output=True, text=True, check=True
    )
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise SystemExit(done.stdout)
    found = re.search(r"(\d+) requests in", done.stdout)
    assert found is not None
    return (cpu(pid) - before) / int(found[1]) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-bundle-")))
        static = prepare(folder)
        ours, peer = free_ports(2)
        settings = {"EPORTAL_DATA_DIR": str(folder / "var"), "EPORTAL_PORT": str(ours)}
        servers = [
            running(ours, *ON_CORE, KC, "serve", "--only", "agent", **settings),
            running(peer, *ON_CORE, sys.executable, HERE / "static.py", peer, static),
        ]
        pids = [stack.enter_context(server) for server in servers]
        token = base64.b64encode(f"{register(ours)}:".encode()).decode()
        header = f"Authorization: Basic {token}"
        for size in SIZES:
            urls = [
                f"http://127.0.0.1:{ours}/userspace/bench/{build_id(size)}/kpatch.tgz",
                f"http://127.0.0.1:{peer}/{build_id(size)}",
            ]
            bodies = {fetch(url, header) for url in urls}
            if len(bodies) != 1:
                raise SystemExit("the two do not serve the same bytes")
            pairs = [
                [cost(*server, header, options.seconds) for server in zip(pids, urls, strict=True)]
                for _ in range(options.rounds)
            ]
            ratios = [mine / theirs for mine, theirs in pairs]
            mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
            print(
                f"{len(bodies.pop()):9} bytes: ePortal {mine:.0f} us of CPU, static {theirs:.0f};"
                f" ratio {statistics.median(ratios):.2f} [{min(ratios):.2f}-{max(ratios):.2f}],"
                f" goal at most 1.1",
                flush=True,
            )


if __name__ == "__main__":
    main()
