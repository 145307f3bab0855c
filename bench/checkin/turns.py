"""One variant's turn: what is measured while it is up, and what it then has stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter, sleep

import equality
import measure
from load import Saturated, saturate
from paced import Paced, pace
from serving import Running, Variant, serving

WARM_SECONDS = 1
# Check-ins looked up after a saturated phase, and the ones at its ends that are left out because
# they may have overtaken each other.
SAMPLE = 200
MARGIN = 200


@dataclass(frozen=True)
class Setting:
    """What all turns of a run share.

    directory: for logs and requests. requests: lines in a file of check-ins. seconds: of one
    saturated phase. paced_seconds: of one at a fixed rate. patience: seconds to wait, at most, for
    other processes to leave the cores alone.
    """

    directory: Path
    requests: int
    seconds: int
    paced_seconds: int
    patience: int
    server_core: int
    load_core: int

    @property
    def cores(self) -> tuple[int, int]:
        return self.server_core, self.load_core


@dataclass(frozen=True)
class Costs:
    """cpu: seconds of the server's tree. other: share of a core that went to anything else."""

    cpu: float
    other: float


@dataclass(frozen=True)
class Turn:
    """us: CPU microseconds a check-in. resident: bytes. other: see Costs, the worst moment."""

    saturated: Saturated
    us: float
    other: float
    resident: int = 0
    paced: Paced | None = None
    paced_us: float | None = None
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Disk:
    """Calls per check-in at a fixed rate; of no worth unless all were answered."""

    rate: int
    offered: int
    answered: int
    syncs: float
    opens: float


def settle(pid: int) -> None:
    """Wait until the server has nothing left to do, ten seconds at most."""
    for _ in range(10):
        before = measure.cpu(pid)
        sleep(1)
        if measure.cpu(pid) - before < 0.03:
            return


def await_quiet(setting: Setting) -> None:
    """Wait until others leave both cores alone for a second."""
    for _ in range(setting.patience):
        before = [measure.busy(core) for core in setting.cores]
        sleep(1)
        if all(
            measure.busy(core) - was < 0.1 for core, was in zip(setting.cores, before, strict=True)
        ):
            return


@contextmanager
def costs(pid: int, setting: Setting) -> Iterator[list[Costs]]:
    """What the tree uses in the block and in settling after it: one element when it ends.

    The block waits for the process that makes the load.
    """
    found: list[Costs] = []
    began, used, load = perf_counter(), measure.cpu(pid), measure.ended_children()
    busy = [measure.busy(core) for core in setting.cores]
    yield found
    own = (measure.cpu(pid) - used, measure.ended_children() - load)
    lost = [
        measure.busy(core) - was - mine
        for core, was, mine in zip(setting.cores, busy, own, strict=True)
    ]
    other = max(0.0, *lost) / (perf_counter() - began)
    settle(pid)
    found.append(Costs(measure.cpu(pid) - used, other))


def take(variant: Variant, setting: Setting, requests: Path, rate: int | None, fleet: int) -> Turn:
    """Start the variant, saturate it, then offer it ``rate`` check-ins a second if one is given."""
    await_quiet(setting)
    with serving(variant, setting.server_core, setting.directory / "servers.log") as running:
        turn, warmed = _saturated(running, setting, requests)
        if variant.stored is not None:
            end = warmed + turn.saturated.requests
            chosen = last_of_each(warmed, end, fleet, setting.requests)
            if missing := equality.check_file(variant, requests, chosen):
                turn.problems.append(missing)
        if rate is not None:
            turn = _paced(turn, running, setting, requests, rate)
        return replace(turn, resident=measure.resident(running.pid))


def _saturated(running: Running, setting: Setting, requests: Path) -> tuple[Turn, int]:
    """Also the first line of the requests that were sent."""
    warm = saturate(running.port, requests, 0, WARM_SECONDS, setting.load_core)
    settle(running.pid)
    start = warm.requests % setting.requests
    with costs(running.pid, setting) as used:
        load = saturate(running.port, requests, start, setting.seconds, setting.load_core)
    us = used[0].cpu / max(1, load.requests) * 1e6
    problems = _problems(load.bad, load.broken, load.requests)
    return Turn(load, us, used[0].other, problems=problems), start


def _paced(turn: Turn, running: Running, setting: Setting, requests: Path, rate: int) -> Turn:
    with costs(running.pid, setting) as used:
        paced = _pace(running, setting, requests, rate)
    return replace(
        turn,
        paced=paced,
        paced_us=used[0].cpu / max(1, paced.answered) * 1e6,
        other=max(turn.other, used[0].other),
        problems=turn.problems + _problems(paced.bad, paced.broken, paced.offered),
    )


def last_of_each(first: int, end: int, fleet: int, lines: int) -> set[int]:
    """Some lines among those sent from ``first`` to ``end`` whose server was not sent again.

    The lines are sent in turn, and again from the top; ``fleet`` in a row are different servers.
    """
    last = end - MARGIN
    first = max(first, end - min(fleet, lines)) + MARGIN
    return {place % lines for place in range(first, last, max(1, (last - first) // SAMPLE))}


def count_disk_calls(variant: Variant, setting: Setting, requests: Path, rate: int) -> Disk:
    """fsync and open calls per check-in at ``rate``; no time is taken: strace slows the server."""
    with serving(variant, setting.server_core, setting.directory / "servers.log") as running:
        saturate(running.port, requests, 0, WARM_SECONDS, setting.load_core)
        settle(running.pid)
        with measure.disk_calls(running.pid, setting.directory / "strace.log") as calls:
            paced = _pace(running, setting, requests, rate)
            settle(running.pid)
    answered = max(1, paced.answered)
    return Disk(rate, paced.offered, paced.answered, calls.syncs / answered, calls.opens / answered)


def _pace(running: Running, setting: Setting, requests: Path, rate: int) -> Paced:
    # The last lines of the file: the ones that saturation has least likely reached.
    start = max(0, setting.requests - rate * setting.paced_seconds)
    return pace(running.port, requests, start, rate, setting.paced_seconds, setting.load_core)


def _problems(bad: int, broken: int, of: int) -> list[str]:
    return [
        f"{count} of {of} requests were {what}"
        for count, what in ((bad, "refused"), (broken, "not answered"))
        if count
    ]
