"""What managing a patchset would do, before it is done: levels, servers, vulnerabilities.

It asks ``patchsets.planned``, which ``patchsets.manage`` does; the mark ties one to the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from eportal_core import db
from eportal_core.models import ENABLED, Patchset
from eportal_core.operations import patchsets
from eportal_core.operations.patchsets import Planned
from eportal_core.portal import Portal
from eportal_core.queries import usage
from eportal_core.queries.contents import closed_by
from eportal_core.types import Product

#: So many descriptions of levels are read for one preview, those of most servers first.
READ_AT_MOST = 2000

#: The latest level of a target before and after; None when there is none.
Levels = tuple[int | None, int | None]


@dataclass(frozen=True)
class Move:
    """``servers`` that are told another level at their next check-in, and have ``targets`` kernels.

    before, after: the level, None when they get no patches. servers: 0 where nobody knows them.
    """

    before: int | None
    after: int | None
    servers: int
    targets: int


@dataclass(frozen=True)
class Cve:
    """A vulnerability that is closed, or open again, for so many ``servers`` and ``targets``.

    score: CVSS, None when it is not known.
    """

    name: str
    score: float | None
    servers: int
    targets: int


@dataclass(frozen=True)
class InFeed:
    """What will happen in a feed.

    state: what ``changed`` come to, names of patchsets, as the operation takes them. levels: by
    target, those alone that change. undescribed: levels that change and are not described here.
    """

    feed: str
    state: str
    changed: Sequence[str]
    levels: Mapping[str, Levels]
    moves: Sequence[Move]
    gained: Sequence[Cve]
    lost: Sequence[Cve]
    undescribed: int

    @property
    def servers(self) -> int:
        """How many servers are told another level."""
        return sum(move.servers for move in self.moves)


@dataclass(frozen=True)
class Preview:
    """What will happen; ``patchsets.manage`` with ``mark`` does this or nothing.

    knows_servers: whether servers tell which levels of the product they have. Without, levels of
    all targets are looked at; with it, those of kernels that servers of the feed have.
    """

    feeds: Sequence[InFeed]
    mark: str
    knows_servers: bool

    @property
    def changes(self) -> int:
        """How many states of patchsets change, in all feeds together."""
        return sum(len(each.changed) for each in self.feeds)


def preview(portal: Portal, product: Product, name: str, actions: Mapping[str, str]) -> Preview:
    """What ``patchsets.manage`` would do with these arguments; it changes nothing.

    Raises:
        NotFound, Conflict, InvalidValue: as from ``patchsets.planned``.
    """
    with db.snapshot():
        plans = patchsets.planned(product, name, actions)
        servers = _servers(portal, product, plans)
        levels = _levels(product, plans, servers)
    store = _Described(portal, product)
    return Preview(
        [_in_feed(plan, levels[plan.feed], servers[plan.feed], store) for plan in plans],
        patchsets.mark_of(plans),
        product.checkin,
    )


def _servers(
    portal: Portal, product: Product, plans: Sequence[Planned]
) -> Mapping[str, Mapping[str, int]]:
    """Servers by feed and target: what is to be looked at."""
    if product.checkin:
        known = usage.kernels(portal, product)
        return {plan.feed: known.get(plan.feed, {}) if plan.changed else {} for plan in plans}
    query = "SELECT DISTINCT target FROM level WHERE patchset IN (?)"
    return {
        plan.feed: {
            target: 0 for (target,) in db.fetch_many(query, [each.id for each in plan.changed])
        }
        for plan in plans
    }


@dataclass
class _Search:
    """Looks for the highest level of a target among ``enabled`` patchsets, from the top down."""

    enabled: Set[str]
    found: int | None = None

    @property
    def is_over(self) -> bool:
        return self.found is not None or not self.enabled

    def see(self, level: int, patchset: str) -> None:
        if self.found is None and patchset in self.enabled:
            self.found = level


def _levels(
    product: Product, plans: Sequence[Planned], servers: Mapping[str, Mapping[str, int]]
) -> Mapping[str, Mapping[str, Levels]]:
    """The levels that change, by feed and target."""
    enabled = {plan.feed: _enabled(plan) for plan in plans}
    changing: dict[str, dict[str, Levels]] = {plan.feed: {} for plan in plans}
    for target in sorted({target for targets in servers.values() for target in targets}):
        feeds = [feed for feed, targets in servers.items() if target in targets]
        searches = {feed: [_Search(ids) for ids in enabled[feed]] for feed in feeds}
        open_ones = [search for pair in searches.values() for search in pair]
        for level, patchset in _from_the_top(product, target):
            open_ones = [search for search in open_ones if not search.is_over]
            if not open_ones:
                break
            for search in open_ones:
                search.see(level, patchset)
        for feed, (before, after) in searches.items():
            if before.found != after.found:
                changing[feed][target] = (before.found, after.found)
    return changing


def _from_the_top(product: Product, target: str) -> Iterator[tuple[int, str]]:
    """Levels of a target and the patchsets that bring them, the highest first."""
    query = f"SELECT level, patchset FROM level WHERE target = {db.database.param}"
    of_product = Patchset.key(product.name, "")
    for level, patchset in db.database.execute_sql(f"{query} ORDER BY level DESC", (target,)):
        if patchset.startswith(of_product):
            yield level, patchset


def _enabled(plan: Planned) -> tuple[Set[str], Set[str]]:
    """The patchsets that the feed has enabled before, and after."""
    before = {patchset for patchset, row in plan.rows.items() if row.state == ENABLED}
    changed = {patchset.id for patchset in plan.changed}
    return before, before | changed if plan.state == ENABLED else before - changed


def _in_feed(
    plan: Planned, levels: Mapping[str, Levels], servers: Mapping[str, int], described: _Described
) -> InFeed:
    of_move: dict[Levels, list[str]] = {}
    for target, change in levels.items():
        of_move.setdefault(change, []).append(target)
    moves = [
        Move(*change, sum(servers[target] for target in targets), len(targets))
        for change, targets in of_move.items()
    ]
    gained, lost, undescribed = _Tally(), _Tally(), 0
    for target in sorted(levels, key=lambda target: (-servers[target], target)):
        before, after = (described.cves(target, level) for level in levels[target])
        if before is None or after is None:
            undescribed += 1
            continue
        gained.add({cve: after[cve] for cve in after.keys() - before.keys()}, servers[target])
        lost.add({cve: before[cve] for cve in before.keys() - after.keys()}, servers[target])
    return InFeed(
        plan.feed,
        plan.state,
        [patchset.name for patchset in plan.changed],
        levels,
        sorted(moves, key=lambda move: (-move.servers, -move.targets, move.after or 0)),
        gained.cves(),
        lost.cves(),
        undescribed,
    )


class _Described:
    """The descriptions of levels, as their patchsets brought them; no more than are allowed."""

    def __init__(self, portal: Portal, product: Product) -> None:
        self._store = portal.stores().get(product.name)
        self._left = READ_AT_MOST
        self._read: dict[tuple[str, int], Mapping[str, float | None] | None] = {}

    def cves(self, target: str, level: int | None) -> Mapping[str, float | None] | None:
        """What a level closes; None when that is not known here."""
        if level is None:
            return {}
        if (target, level) not in self._read:
            found = closed_by(self._store, target, level) if self._left else None
            self._left -= found is not None
            self._read[target, level] = found
        return self._read[target, level]


@dataclass
class _Tally:
    """Counts vulnerabilities, target by target."""

    scores: dict[str, float | None] = field(default_factory=dict)
    servers: Counter[str] = field(default_factory=Counter)
    targets: Counter[str] = field(default_factory=Counter)

    def add(self, cves: Mapping[str, float | None], servers: int) -> None:
        for cve, score in cves.items():
            self.scores[cve] = max(self.scores.get(cve) or 0.0, score or 0.0) or None
            self.servers[cve] += servers
            self.targets[cve] += 1

    def cves(self) -> list[Cve]:
        """The worst first."""
        return sorted(
            (
                Cve(name, score, self.servers[name], self.targets[name])
                for name, score in self.scores.items()
            ),
            key=lambda cve: (-(cve.score or 0.0), -cve.servers, cve.name),
        )
