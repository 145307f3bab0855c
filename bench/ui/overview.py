"""How long the overview takes with a million servers: ``python bench/ui/overview.py``.

The portals are those of ``bench/ui/run.py``. Told is how long the first count takes, during which
the page says so, and then a page: by the clock, and the processor's time.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import sys
import time
from pathlib import Path

import run

#: Milliseconds, and bytes.
LIMIT = 200.0
SIZE = 60 * 1024
PATH = "/admin/"
_COUNTING = 'http-equiv="refresh"'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp/eportal-bench-ui"))
    parser.add_argument("--servers", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    folder = options.dir / str(options.servers)
    run.fill.fill(folder, options.servers)
    with run.asking(folder) as ask:
        began = time.perf_counter()
        while _COUNTING in ask.get(PATH).text:
            time.sleep(0.1)
        print(f"first count: {time.perf_counter() - began:.1f} s")
        clocks, times = [], []
        for _ in range(options.rounds):
            clock, used = time.perf_counter(), time.process_time()
            answer = ask.get(PATH)
            clocks.append((time.perf_counter() - clock) * 1000)
            times.append((time.process_time() - used) * 1000)
    clock, used = statistics.median(clocks), statistics.median(times)
    packed = len(gzip.compress(answer.content))
    missed = clock > LIMIT or packed > SIZE
    print(f"page: {clock:.1f} ms, processor {used:.1f} ms, {packed:,} bytes packed", end="")
    print("  MISSED" if missed else "")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
