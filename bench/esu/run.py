"""An update of a mirror in which every package is there: requests, and seconds.

``python bench/esu/run.py [--packages 500] [--rounds 5]``; see README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

# The upstream and the packages are those of the tests.
sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.esu_upstream import Upstream, upstream
from tests.support.esu_world import REPOSITORY, Packages, World
from tests.support.rpms import Signer, end_agent

PROGRAM = Path(sys.executable).with_name("kc.eportal")
HERE = Path(__file__).parent
#: Goals of the project for an update in which nothing is new.
MOST_REQUESTS, MOST_SECONDS = 2, 1.0


def publish(world: World, packages: int) -> None:
    """Put so many packages upstream, each with other bytes, and sign their metadata."""
    model = world.source / world.add("package")
    data = model.read_bytes()
    for number in range(1, packages):
        # What follows the payload is nobody's, but counts for size and checksum.
        path = model.with_name(f"package{number}.rpm")
        path.write_bytes(data + os.urandom(100))
    world.publish()


def run_command(environ: Mapping[str, str], *arguments: object) -> tuple[float, str]:
    """Seconds of a whole process, and what it printed."""
    start = time.perf_counter()
    done = subprocess.run(
        list(map(str, arguments)), env=environ, check=True, capture_output=True, text=True
    )
    return time.perf_counter() - start, done.stdout


def measure(world: World, source: Upstream, rounds: int) -> bool:
    settings = {"DATA_DIR": str(world.data_dir), **world.settings}
    environ = {**os.environ, **{f"EPORTAL_{name}": value for name, value in settings.items()}}
    command = [PROGRAM, "esu", "update"]
    seconds, said = run_command(environ, *command)
    print(f"first update: {seconds:.2f} s, {len(source.requests)} requests; {said.strip()}")

    wholes, calls, requests = [], [], set()
    for _ in range(rounds):
        source.forget()
        wholes.append(run_command(environ, *command)[0])
        requests.add(len(source.requests))
        call = run_command(environ, sys.executable, HERE / "call.py")[1]
        calls.append(json.loads(call)["seconds"])
    starts = [run_command(environ, PROGRAM, "esu", "list")[0] for _ in range(rounds)]
    print(f"nothing new: {sorted(requests)} requests, goal at most {MOST_REQUESTS}")
    for name, values in (
        ("kc.eportal esu update", wholes),
        ("the function alone", calls),
        ("kc.eportal esu list", starts),
    ):
        middle = statistics.median(values)
        print(f"{name:24}{middle:6.2f} s [{min(values):.2f}-{max(values):.2f}]")
    print(f"goal: kc.eportal esu update at most {MOST_SECONDS:.1f} s")
    return max(requests) <= MOST_REQUESTS and statistics.median(wholes) <= MOST_SECONDS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="eportal-bench-esu-") as name:
        folder = Path(name)
        signer = Signer.make(folder / "gpg")
        try:
            made = Packages(signer, signer.public_key(folder / "key.asc"), folder / "rpms")
            (folder / "upstream").mkdir()
            with upstream(folder / "upstream") as source:
                world = World(made, source, folder / "var")
                publish(world, options.packages)
                print(f"{options.packages} packages in {REPOSITORY}; {os.cpu_count()} cores")
                good = measure(world, source, options.rounds)
        finally:
            end_agent(signer.home)
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
