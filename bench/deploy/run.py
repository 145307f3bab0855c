"""Unpacking a large patchset: the decompressor alone, Python's tarfile, and ours.

``python bench/deploy/run.py [--rounds 5] [--folder DIR]``; see README.md beside this file.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from patches import FILES, TARGETS, make_archive

HERE = Path(__file__).parent
FLOOR, OBVIOUS, OURS = "lbzip2 -dc >/dev/null", "tarfile extractall", "ePortal unpack"


@dataclass(frozen=True)
class Cost:
    """Seconds of one run, its children's CPU included.

    others: the part of the machine's CPU time that went to other processes meanwhile, 0 to 1;
        rounds in which it was large say little.
    """

    wall: float
    cpu: float
    others: float


def busy_seconds() -> float:
    """CPU seconds of all processes since the machine started, time stolen from it included."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = (
        int(field) for field in Path("/proc/stat").read_text().split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def measure(command: Sequence[str], stdin: Path | None = None) -> Cost:
    # What an earlier run left to be written is not this run's to wait for.
    os.sync()
    with (stdin or Path(os.devnull)).open("rb") as source:
        busy = busy_seconds()
        start = time.perf_counter()
        process = subprocess.Popen(command, stdin=source, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        busy = busy_seconds() - busy
    # Popen cannot know that its process has been waited for.
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[0]} failed with {process.returncode}")
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(wall, cpu, max(0.0, busy - cpu) / (wall * (os.cpu_count() or 1)))


def unpack_with(script: str, archive: Path, folder: Path) -> Cost:
    with tempfile.TemporaryDirectory(dir=folder) as target:
        cost = measure([sys.executable, str(HERE / script), str(archive), target])
        files = sum(path.is_file() for path in Path(target).glob("*/*/*"))
    if files != TARGETS * len(FILES):
        raise SystemExit(f"{script} left {files} files")
    return cost


def run_round(archive: Path, folder: Path) -> dict[str, Cost]:
    return {
        FLOOR: measure(["lbzip2", "-dc"], stdin=archive),
        OBVIOUS: unpack_with("with_tarfile.py", archive, folder),
        OURS: unpack_with("with_eportal.py", archive, folder),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()) / "eportal-bench-deploy"
    )
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    archive = make_archive(options.folder)
    size = sum(FILES.values()) * TARGETS
    print(
        f"{archive.name}: {archive.stat().st_size / 1e6:.0f} MB, "
        f"{TARGETS * len(FILES)} files, {size / 1e6:.0f} MB unpacked; {os.cpu_count()} cores"
    )
    rounds = []
    for number in range(1, options.rounds + 1):
        rounds.append(run_round(archive, options.folder))
        walls = ", ".join(f"{name} {cost.wall:.1f} s" for name, cost in rounds[-1].items())
        others = max(cost.others for cost in rounds[-1].values())
        print(f"round {number}: {walls}; other processes took up to {others:.0%}", flush=True)
    print(f"\n{'median of ' + str(len(rounds)):24}{'wall s':>8}{'CPU s':>8}")
    for name in (FLOOR, OBVIOUS, OURS):
        wall = statistics.median(each[name].wall for each in rounds)
        cpu = statistics.median(each[name].cpu for each in rounds)
        print(f"{name:24}{wall:8.1f}{cpu:8.1f}")
    for name, goal in ((FLOOR, 1.5), (OBVIOUS, 0.55)):
        ratios = [each[OURS].wall / each[name].wall for each in rounds]
        print(
            f"ePortal / {name}: {statistics.median(ratios):.2f} "
            f"[{min(ratios):.2f}-{max(ratios):.2f}], goal at most {goal}"
        )


if __name__ == "__main__":
    main()
