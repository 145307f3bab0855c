"""Fifty agents at once for a file that is not cached yet, against a download and a cached round.

``python bench/cache/run.py [--rounds 7] [--agents 50]``; see README.md beside this file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.portal import KC, command, register, running
from tests.support.serving import free_ports

SIZE = 10_000_000
TARGET = hashlib.sha1(b"bench").hexdigest()
PATH = f"{TARGET}/1/kpatch.bin"
#: How fast the upstream sends, as nginx writes it: as it can, and as over a line of 100 Mbit/s.
RATES = ("0", "12m")
GOAL = 1.3


def make_source(folder: Path) -> Path:
    """A signed source with one patchset of one file of random bytes."""
    environ = {"EPORTAL_DATA_DIR": str(folder / "publisher")}
    place = folder / "patches" / TARGET / "1"
    place.mkdir(parents=True)
    (place / "kpatch.bin").write_bytes(os.urandom(SIZE))
    archive, source = folder / "K20260101_01.tar.gz", folder / "source"
    command(environ, "kcare", "pack", folder / "patches", "-o", archive)
    command(environ, "source", "init", source, "--product", "kernel")
    command(environ, "source", "add", source, archive)
    command(environ, "source", "publish", source)
    return source


@contextmanager
def nginx(folder: Path, source: Path, rate: str) -> Iterator[tuple[int, Path]]:
    """A real nginx that serves ``source``; gives its port and its access log."""
    folder.mkdir()
    (port,), log, config = free_ports(1), folder / "access.log", folder / "nginx.conf"
    paths = "\n".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config.write_text(
        f"pid {folder}/pid; error_log {folder}/error.log; daemon off; user root; events {{}}\n"
        f"http {{ {paths} access_log {log}; server {{ listen 127.0.0.1:{port};"
        f" location / {{ root {source}; sendfile on; limit_rate {rate}; }} }} }}\n"
    )
    with running(port, "/usr/sbin/nginx", "-c", config, "-p", folder, "-e", folder / "error.log"):
        yield port, log


def together(url: str, count: int, memory: Path, expected: str, server: str = "") -> float:
    """Seconds until ``count`` clients that ask at once have it all; their bytes are checked."""
    shutil.rmtree(memory, ignore_errors=True)
    memory.mkdir()
    options = ["-sS", "--fail", "-Z", "--parallel-max", str(count), "--parallel-immediate"]
    options.append("--no-progress-meter")
    files = [part for number in range(count) for part in ("-o", str(memory / str(number)), url)]
    began = time.monotonic()
    subprocess.run(["curl", *options, "-u", f"{server}:any", *files], check=True)
    took = time.monotonic() - began
    for number in range(count):
        found = hashlib.sha256((memory / str(number)).read_bytes()).hexdigest()
        if found != expected:
            raise SystemExit(f"client {number} did not get the right bytes")
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--agents", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-cache-") as name:
        folder = Path(name)
        source = make_source(folder)
        for rate in RATES:
            measure(folder / f"rate-{rate}", source, rate, options.rounds, options.agents)


def measure(folder: Path, source: Path, rate: str, rounds: int, agents: int) -> None:
    folder.mkdir()
    data_dir, (port, admin_port) = folder / "var", free_ports(2)
    expected = hashlib.sha256(
        (source.parent / "patches" / TARGET / "1/kpatch.bin").read_bytes()
    ).hexdigest()
    with ExitStack() as stack:
        upstream, log = stack.enter_context(nginx(folder / "nginx", source, rate))
        settings = {
            "EPORTAL_DATA_DIR": str(data_dir),
            "EPORTAL_PORT": str(port),
            "EPORTAL_ADMIN_PORT": str(admin_port),
            "EPORTAL_CACHE_MODE": "True",
            "EPORTAL_PATCH_SOURCE_URL": f"http://127.0.0.1:{upstream}",
            "EPORTAL_PATCH_SOURCE_ROOT": str(source / "metadata" / "1.root.json"),
        }
        command(settings, "kcare", "update")
        command(settings, "key", "-a", "BENCH")
        stack.enter_context(running(port, KC, "serve", **settings))
        memory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm"))) / "got"
        server = register(port)
        direct = f"http://127.0.0.1:{upstream}/targets/kernel/files/{PATH}"
        ours = f"http://127.0.0.1:{port}/{PATH}"
        rows = []
        for _ in range(rounds):
            shutil.rmtree(data_dir / "cache")
            before = log.read_text().count("/files/")
            cold = together(ours, agents, memory, expected, server)
            asked = log.read_text().count("/files/") - before
            if asked != 1:
                raise SystemExit(f"the upstream was asked {asked} times")
            cached = together(ours, agents, memory, expected, server)
            download = together(direct, 1, memory, expected)
            rows.append((cold, download, cached, cold / (download + cached)))
        cold, download, cached, ratio = map(statistics.median, zip(*rows, strict=True))
        spread = sorted(row[-1] for row in rows)
        told = {
            "upstream sends": "as it can" if rate == "0" else f"{rate} bytes/s",
            "agents": agents,
            "not cached, s": round(cold, 3),
            "one download, s": round(download, 3),
            "cached, s": round(cached, 3),
            "upstream requests": 1,
            "ratio": f"{ratio:.2f} [{spread[0]:.2f}-{spread[-1]:.2f}], goal at most {GOAL}",
        }
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
