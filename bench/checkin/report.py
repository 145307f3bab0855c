"""What a run found, as a table and as goals that are met or missed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from math import nan
from statistics import median
from typing import Any

from ours import ALL_CHANGED, GRANIAN, OURS
from paced import Paced
from turns import Disk, Turn
from variants import BARE, DOCUMENTED, TUNED

PEER_RATE = 100
OUR_RATE = 1000
DISK_RATE = 500

# Of a core: a turn in which other processes took more is taken again.
NOISE = 0.1

Round = dict[str, Turn]


def noise(found: Round) -> float:
    """The largest share of a core that other processes took in any turn of a round."""
    return max(turn.other for turn in found.values())


def is_quiet(found: Round) -> bool:
    return noise(found) <= NOISE


@dataclass(frozen=True)
class Scan:
    """Check-ins at OUR_RATE, alone and while another process reads the table ``scans`` times.

    other: see turns.Costs, while alone.
    """

    alone: Paced
    scanned: Paced
    scans: int
    other: float


@dataclass
class Fleet:
    """Everything measured with one number of servers."""

    servers: int
    rounds: list[Round] = field(default_factory=list)
    disk: dict[str, Disk] = field(default_factory=dict)
    scans: list[Scan] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "goals": [asdict(goal) for goal in self.goals()],
        }

    def turns(self, name: str) -> list[Turn]:
        return [one[name] for one in self.rounds if name in one]

    def problems(self) -> list[str]:
        found = [
            f"{name}, round {number}: {problem}"
            for number, one in enumerate(self.rounds, 1)
            for name, turn in one.items()
            for problem in turn.problems
        ]
        found += [
            f"{name}, fsync: {disk.answered} of {disk.offered} requests were answered"
            for name, disk in self.disk.items()
            if disk.answered < disk.offered
        ]
        return found

    def goals(self) -> list[Goal]:
        """Each against its limit; ratios are taken within a round, then their median."""

        goals = [
            Goal("CPU, tuned peer / ours", self._us(TUNED, OURS), 15, at_least=True),
            Goal("CPU, open-and-close peer / ours", self._us(DOCUMENTED, OURS), 24, at_least=True),
            Goal("CPU, ours / bare uvicorn", self._us(OURS, BARE), 1.6),
            Goal(
                f"p99, ours at {OUR_RATE}/s / tuned peer at {PEER_RATE}/s",
                self._ratios(OURS, TUNED, lambda turn: turn.paced.p99 if turn.paced else nan),
                1,
            ),
            Goal(f"fsync a check-in at {DISK_RATE}/s", [self.disk[OURS].syncs], 0.02),
            Goal(f"database opens a check-in at {DISK_RATE}/s", [self.disk[OURS].opens], 0),
            Goal(
                f"rate while the table is scanned / alone, {OUR_RATE}/s",
                [one.scanned.rate / one.alone.rate for one in self.scans],
                0.95,
                at_least=True,
            ),
        ]
        if self.servers >= 1_000_000:
            memory = [turn.resident / 2**20 for turn in self.turns(OURS)]
            goals.append(Goal("memory, MB", memory, 256))
        return goals

    def remarks(self) -> list[Figure]:
        """Ratios worth knowing that nothing was promised about."""
        return [
            Figure("CPU, tuned peer / all facts new", self._us(TUNED, ALL_CHANGED)),
            Figure("CPU, all facts new / bare uvicorn", self._us(ALL_CHANGED, BARE)),
            Figure("CPU, tuned peer / granian", self._us(TUNED, GRANIAN)),
            Figure(
                "requests a second, ours / tuned peer",
                self._ratios(OURS, TUNED, lambda turn: turn.saturated.rate),
            ),
        ]

    def _us(self, top: str, bottom: str) -> list[float]:
        return self._ratios(top, bottom, lambda turn: turn.us)

    def _ratios(self, top: str, bottom: str, what: Callable[[Turn], float]) -> list[float]:
        return [what(one[top]) / what(one[bottom]) for one in self.rounds]


@dataclass(frozen=True)
class Figure:
    """values: one a round, of which the median counts."""

    name: str
    values: Sequence[float]

    def __str__(self) -> str:
        return f"{self.name:<48} {spread(self.values):>22}"


@dataclass(frozen=True)
class Goal(Figure):
    """A figure with the limit it has to keep, from below if ``at_least``."""

    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        found = median(self.values)
        return found >= self.limit if self.at_least else found <= self.limit

    def __str__(self) -> str:
        sign, found = ">=" if self.at_least else "<=", "ok" if self.met else "MISSED"
        return f"{super().__str__()}   {sign} {self.limit:<5g} {found}"


def spread(values: Sequence[float]) -> str:
    """Median and, of several, the extremes: ``16.4 [14.6-20.3]``."""
    shown = _number(median(values))
    if len(values) > 1:
        shown += f" [{_number(min(values))}-{_number(max(values))}]"
    return shown


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"


def render(fleet: Fleet) -> str:
    """The tables and goals of one fleet, for people."""
    lines = [f"\n{fleet.servers:,} servers, {len(fleet.rounds)} rounds: median [extremes]\n"]
    lines += _saturated(fleet)
    lines += ["", "A fixed rate, random arrivals; milliseconds from the intended time\n"]
    lines += _paced(fleet)
    lines += ["", "fsync and opens of the database, a check-in\n"]
    lines += [
        f"  {name:<24} {disk.rate:>5}/s   {disk.syncs:.4f} fsync   {disk.opens:.4f} opens"
        for name, disk in fleet.disk.items()
    ]
    lines += ["", "While another process on the same core reads the whole table\n"]
    for scan in fleet.scans:
        lines.append(
            f"  {OURS}: {scan.alone.rate:.0f}/s p99 {scan.alone.p99 * 1e3:.1f} ms alone, "
            f"{scan.scanned.rate:.0f}/s p99 {scan.scanned.p99 * 1e3:.1f} ms "
            f"during {scan.scans} scans, others {scan.other:.0%}"
        )
    lines += ["", "Goals\n", *(f"  {goal}" for goal in fleet.goals())]
    lines += ["", "No goals\n", *(f"  {figure}" for figure in fleet.remarks())]
    if noisy := sum(not is_quiet(one) for one in fleet.rounds):
        lines += ["", f"Noisy: in {noisy} rounds others took more than {NOISE:.0%} of a core"]
    if problems := fleet.problems():
        lines += ["", "Problems: these figures do not count\n", *(f"  {one}" for one in problems)]
    return "\n".join(lines)


def _saturated(fleet: Fleet) -> list[str]:
    lines = [
        f"  {'32 connections, one request each':<32} {'requests/s':>20} {'CPU us':>20} "
        f"{'p99 ms':>18} {'RSS MB':>7} {'other':>6}"
    ]
    for name in fleet.rounds[0]:
        turns = fleet.turns(name)
        lines.append(
            f"  {name:<32} {spread([turn.saturated.rate for turn in turns]):>20} "
            f"{spread([turn.us for turn in turns]):>20} "
            f"{spread([turn.saturated.p99 * 1e3 for turn in turns]):>18} "
            f"{median(turn.resident for turn in turns) / 2**20:>7.0f} "
            f"{max(turn.other for turn in turns):>6.0%}"
        )
    return lines


def _paced(fleet: Fleet) -> list[str]:
    lines = [f"  {'':<24} {'rate':>6} {'p50':>18} {'p99':>20} {'worst':>7} {'CPU us':>20}"]
    for name in fleet.rounds[0]:
        turns = fleet.turns(name)
        paced = [turn.paced for turn in turns if turn.paced]
        used = [turn.paced_us for turn in turns if turn.paced_us]
        if paced:
            rate = PEER_RATE if name in (TUNED, DOCUMENTED) else OUR_RATE
            lines.append(
                f"  {name:<24} {rate:>4}/s {spread([one.p50 * 1e3 for one in paced]):>18} "
                f"{spread([one.p99 * 1e3 for one in paced]):>20} "
                f"{max(one.worst for one in paced) * 1e3:>7.0f} {spread(used):>20}"
            )
    return lines
