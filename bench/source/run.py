"""Reading a patch source of many patchsets: CPU seconds, requests and bytes.

``python bench/source/run.py [--patchsets 1000] [--rounds 5]``; see README.md beside this file.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

# The source and the server are those of the tests.
sys.path.insert(0, str(Path(__file__).parents[2]))

from eportal_core.source.client import open_source
from tests.support.forged_sources import ForgedSource
from tests.support.opening import opened
from tests.support.reading import Reader
from tests.support.upstreams import Upstream, upstream

PRODUCT = "kernel"
#: As many as a large publisher builds for.
DISTROS = [f"almalinux{number}" for number in (8, 9, 10)] + ["debian11", "debian12", "ubuntu24.04"]
#: Goals of the project.
MOST_CPU, MOST_REQUESTS = 2.0, 4


def publish(source: ForgedSource, server: Upstream, first: int, count: int) -> None:
    for number in range(first, first + count):
        name = f"K{2000 + number // 1000}{number % 1000 + 1000}_01"
        source.add(PRODUCT, name, b"archive", distros=DISTROS, channels=["default", "test"])
    source.publish(PRODUCT)
    for path in (source.folder / "metadata").iterdir():
        server.files[f"/metadata/{path.name}"] = path.read_bytes()


def refresh(reader: Reader, server: Upstream) -> tuple[float, list[str], int]:
    """CPU seconds of this process' main thread, paths that were asked for, and patchsets listed."""
    asked = len(server.asked)
    start = time.thread_time()
    with open_source(reader.portal) as source:
        listed = len(source.refresh())
    return time.thread_time() - start, server.paths()[asked:], listed


def measure(folder: Path, patchsets: int, rounds: int) -> bool:
    source = ForgedSource(folder / "source", PRODUCT)
    with upstream() as server:
        publish(source, server, 0, patchsets)
        seconds: dict[str, list[float]] = {"everything new": [], "nothing new": [], "one new": []}
        most = 0
        for number in range(rounds):
            portal = opened(folder / f"var{number}")
            reader = Reader(portal).of(server.url, ROOT=source.root)
            for what, values in seconds.items():
                if what == "one new":
                    publish(source, server, patchsets + number, 1)
                spent, paths, listed = refresh(reader, server)
                assert listed == patchsets + number + (what == "one new")
                values.append(spent)
                size = sum(len(server.files.get(path, b"")) for path in paths)
                if what == "nothing new":
                    most = max(most, len(paths))
                if number == 0:
                    print(f"{what:16}{len(paths)} requests, {size} bytes")
    for what, values in seconds.items():
        middle = statistics.median(values)
        print(f"{what:16}{middle:6.2f} s CPU [{min(values):.2f}-{max(values):.2f}]")
    print(f"goals: at most {MOST_CPU} s CPU, and {MOST_REQUESTS} requests when nothing is new")
    slowest = max(statistics.median(values) for values in seconds.values())
    return slowest < MOST_CPU and most <= MOST_REQUESTS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patchsets", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"{options.patchsets} patchsets; {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="eportal-bench-source-") as name:
        good = measure(Path(name), options.patchsets, options.rounds)
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
