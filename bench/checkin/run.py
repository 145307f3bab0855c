"""The check-in, ours against the obvious way, in one run: ``python bench/checkin/run.py``.

See README.md for what is compared and for what the numbers do not say.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import data
import equality
import ours
import turns
from fill_peer import fill_peer
from paced import Paced, pace
from report import (
    DISK_RATE,
    OUR_RATE,
    PEER_RATE,
    Fleet,
    Round,
    Scan,
    is_quiet,
    noise,
    render,
)
from serving import HERE, Variant, serving
from turns import Setting
from variants import DOCUMENTED, TUNED, bare, peer

LINES = 80_000
# Far below what the peer can do, because strace slows it.
PEER_DISK_RATE = 20


def main() -> int:
    options = _options()
    # As an exception, which stops the servers and removes the data on its way out.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit("stopped"))
    began = perf_counter()
    fleets = []
    with tempfile.TemporaryDirectory(prefix="eportal-bench-", dir=options.dir) as directory:
        for servers in options.servers:
            place = Path(directory) / str(servers)
            place.mkdir()
            fleets.append(run(servers, place, options))
            print(render(fleets[-1]), flush=True)
    print(f"\n{perf_counter() - began:.0f} seconds in all")
    if options.json:
        options.json.write_text(json.dumps([fleet.as_json() for fleet in fleets], indent=1) + "\n")
    failed = any(fleet.problems() or not all(g.met for g in fleet.goals()) for fleet in fleets)
    return int(failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--servers",
        type=lambda text: [int(one) for one in text.split(",")],
        default=[10_000, 1_000_000],
        help="sizes of the fleet, separated by commas",
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns of every variant")
    parser.add_argument(
        "--changed",
        type=float,
        default=0.05,
        help=(
            "share of check-ins that report another patch level than the one before, 0 to 1; "
            "the uptime is another each time"
        ),
    )
    parser.add_argument("--quick", action="store_true", help="one short round of 10,000 servers")
    parser.add_argument("--dir", type=Path, help="where to put the data: a real disk, no tmpfs")
    parser.add_argument("--json", type=Path, help="write everything that was measured here")
    options = parser.parse_args()
    if options.quick:
        options.servers, options.rounds = [10_000], 1
    return options


def run(servers: int, directory: Path, options: argparse.Namespace) -> Fleet:
    """Measure everything with ``servers`` servers, with data below ``directory``."""
    setting = _setting(servers, directory, options)
    _say(f"{servers:,} servers: making the data")
    contenders = _contenders(servers, directory, options.changed)
    generation = _check_equality([one.variant for one in contenders], servers, setting)
    rounds: list[Round] = []
    most = 1 if options.quick else 2 * options.rounds
    while sum(map(is_quiet, rounds)) < options.rounds and len(rounds) < most:
        _say(f"{servers:,} servers: round {len(rounds) + 1}")
        found, generation = _round(contenders, servers, setting, generation)
        rounds.append(found)
    # Chosen by what other processes did, not by what was measured.
    fleet = Fleet(servers, sorted(rounds, key=noise)[: options.rounds])
    requests = directory / "requests"
    data.write_requests(requests, servers, setting.requests, generation, options.changed)
    for one in contenders:
        if one.disk_rate is not None:
            _say(f"{servers:,} servers: fsync: {one.name}")
            fleet.disk[one.name] = turns.count_disk_calls(
                one.variant, setting, requests, one.disk_rate
            )
    main_variant = next(one.variant for one in contenders if one.name == ours.OURS)
    for number in range(options.rounds):
        _say(f"{servers:,} servers: scan {number + 1}")
        fleet.scans.append(_scan(main_variant, setting, requests))
    return fleet


def _setting(servers: int, directory: Path, options: argparse.Namespace) -> Setting:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("two cores are needed: one for the server, one for the load")
    return Setting(
        directory=directory,
        # A whole number of passes through a small fleet: see turns.last_of_each.
        requests=LINES if servers > LINES else -(-LINES // servers) * servers,
        seconds=2 if options.quick else 6,
        paced_seconds=3 if options.quick else 8,
        patience=0 if options.quick else 10,
        server_core=cores[0],
        load_core=cores[1],
    )


@dataclass(frozen=True)
class Contender:
    """A variant and how it is asked.

    changed: see data.facts. rate: check-ins a second of the paced phase. disk_rate: of the phase
    in which fsync is counted.
    """

    variant: Variant
    changed: float
    rate: int | None = None
    disk_rate: int | None = None

    @property
    def name(self) -> str:
        return self.variant.name


def _contenders(servers: int, directory: Path, changed: float) -> list[Contender]:
    """In the order in which they take turns; each server with a database of its own."""
    tuned, documented = directory / "tuned.db", directory / "documented.db"
    fill_peer(tuned, servers)
    subprocess.run(["cp", str(tuned), str(documented)], check=True)
    mine = ours.variants(directory / "ours", servers)
    return [
        Contender(bare(), changed),
        Contender(mine[ours.OURS], changed, OUR_RATE, DISK_RATE),
        Contender(mine[ours.ALL_CHANGED], 1),
        Contender(mine[ours.GRANIAN], changed, OUR_RATE),
        Contender(peer(TUNED, "tuned", tuned), changed, PEER_RATE, PEER_DISK_RATE),
        Contender(peer(DOCUMENTED, "documented", documented), changed, PEER_RATE, PEER_DISK_RATE),
    ]


def _round(
    contenders: list[Contender], servers: int, setting: Setting, generation: int
) -> tuple[Round, int]:
    """One turn of each; also the next unused generation."""
    files: dict[float, Path] = {}
    for changed in {one.changed for one in contenders}:
        files[changed] = setting.directory / f"requests-{changed}"
        generation = data.write_requests(
            files[changed], servers, setting.requests, generation, changed
        )
    found: Round = {}
    for one in contenders:
        _say(f"  {one.name}")
        found[one.name] = turns.take(one.variant, setting, files[one.changed], one.rate, servers)
    return found, generation


def _check_equality(variants: list[Variant], servers: int, setting: Setting) -> int:
    """Stop the run if answers or rows differ; the next unused generation of facts."""
    for variant in variants:
        if variant.stored is None:
            continue
        _say(f"{servers:,} servers: answers and rows of {variant.name}")
        log = setting.directory / "servers.log"
        with serving(variant, setting.server_core, log) as running:
            equality.check(variant, running, servers, 1)
    return 2


def _scan(variant: Variant, setting: Setting, requests: Path) -> Scan:
    turns.await_quiet(setting)
    with serving(variant, setting.server_core, setting.directory / "servers.log") as running:

        def paced() -> Paced:
            return pace(
                running.port, requests, 0, OUR_RATE, setting.paced_seconds, setting.load_core
            )

        paced()
        with turns.costs(running.pid, setting) as used:
            alone = paced()
        # Longer than the paced phase with its start and end, so that it is never without a scan.
        command = ["taskset", "-c", str(setting.server_core), sys.executable, str(HERE / "scan.py")]
        command += [str(ours.database(variant)), str(setting.paced_seconds + 4), ours.SCAN]
        scanner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            scanned = paced()
            scans = int(scanner.communicate(timeout=60)[0])
        finally:
            if scanner.poll() is None:
                scanner.kill()
                scanner.wait()
        return Scan(alone, scanned, scans, used[0].other)


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
