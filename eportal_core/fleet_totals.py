"""All servers, counted: how they are patched, what they are, and for how long they have been up."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from eportal_core import db
from eportal_core.errors import PortalError
from eportal_core.fleet import Levels
from eportal_core.models import Change, Feed, Key, Server, now
from eportal_core.models.base import to_microseconds
from eportal_core.operations.keys import products_of
from eportal_core.operations.latest import checkin_product
from eportal_core.portal import Portal
from eportal_core.queries import ACTIVE_FOR, conditions
from eportal_core.queries.states import STATES, state_of

log = logging.getLogger("eportal.fleet")

#: What servers tell of themselves, and are counted by.
KINDS = ("distro", "release", "euname", "machine")
#: Seconds for which totals of a fleet of more than ``SMALL`` are good.
FRESH = 60
#: So many servers are counted while whoever asks waits.
SMALL = 10_000
#: Days for which what was removed is counted.
LATELY = 7


@dataclass
class Uptimes:
    """hours: how many servers were up for so many full hours when they were last heard of.

    longest, total: seconds, of all of them.
    """

    hours: Counter[int] = field(default_factory=Counter)
    longest: int = 0
    total: int = 0

    @property
    def servers(self) -> int:
        return self.hours.total()

    @property
    def average(self) -> int:
        """Seconds."""
        return self.total // self.servers if self.hours else 0

    @property
    def median(self) -> int:
        """Seconds, exact to the hour: as long or longer runs half of the servers."""
        above = self.servers // 2
        for hour in sorted(self.hours):
            above -= self.hours[hour]
            if above < 0:
                return hour * 3600
        return 0

    def between(self, least: int, most: int | None) -> int:
        """How many were up for ``least`` days or more, and for less than ``most``."""
        end = float("inf") if most is None else most * 24
        return sum(number for hour, number in self.hours.items() if least * 24 <= hour < end)


@dataclass
class Totals:
    """Servers, counted.

    states: by feed and state; behind: those that are, by feed and how many levels. products: by
    product; of_product: by product and state. kinds: by one of ``KINDS``, what servers told of it
    (nothing is an empty text), product, and whether they are active; product "" is all servers.
    removed: how many were in the last ``LATELY`` days. time: when it was counted, seconds since
    1970.
    """

    states: Counter[tuple[str, str]] = field(default_factory=Counter)
    behind: Counter[tuple[str, int]] = field(default_factory=Counter)
    products: Counter[str] = field(default_factory=Counter)
    of_product: Counter[tuple[str, str]] = field(default_factory=Counter)
    kinds: Counter[tuple[str, str, str, bool]] = field(default_factory=Counter)
    uptimes: Uptimes = field(default_factory=Uptimes)
    removed: int = 0
    time: float = 0.0

    @property
    def servers(self) -> int:
        return self.states.total()

    def of_state(self, state: str) -> int:
        """Servers of all feeds in one state."""
        return sum(number for (_, each), number in self.states.items() if each == state)

    @property
    def is_fresh(self) -> bool:
        """A clock that was set back makes nothing fresh."""
        return 0 <= time.time() - self.time <= FRESH


class Fleet:
    """Totals of all servers; those of many are counted in a thread when somebody wants them."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._lock = threading.Lock()
        self._totals: Totals | None = None

    def begin(self) -> None:
        """Have many servers counted before anybody asks.

        Raises:
            DatabaseError: the database does not answer.
        """
        with db.connection():
            if _size() > SMALL:
                self._refresh()

    def totals(self) -> Totals:
        """What is known; who asks before many servers were counted for the first time waits.

        Raises:
            DatabaseError: the database does not answer.
        """
        found = self.known()
        if found is not None:
            return found
        with self._lock:
            return self._totals or self._count()

    def known(self) -> Totals | None:
        """Totals of this moment, of many servers those counted last, None when none were yet.

        Raises:
            DatabaseError: the database does not answer.
        """
        with db.connection():
            if _size() <= SMALL:
                return self._count()
        found = self._totals
        if found is None or not found.is_fresh:
            self._refresh()
        return found

    def _refresh(self) -> None:
        if self._lock.acquire(blocking=False):
            threading.Thread(target=self._count_again, name="fleet", daemon=True).start()

    def _count_again(self) -> None:
        try:
            self._count()
        except PortalError as error:
            log.error("The servers could not be counted: %s", error.in_full)
        finally:
            self._lock.release()

    def _count(self) -> Totals:
        with db.connection():
            self._totals = count(self._portal)
        return self._totals


@dataclass(frozen=True)
class _Group:
    """Servers that are alike; ``kinds`` in the order of ``KINDS``."""

    key: str
    kernel_id: str
    level: int
    kinds: tuple[str, ...]


_ALL = f"SELECT key, kernel_id, patch_level, {', '.join(KINDS)}, servers FROM fleet"
_SOME = (
    "SELECT f.key, coalesce(f.kernel_id, ''), coalesce(f.patch_level, -1), "
    f"{', '.join(f'''coalesce(f.{name}, '')''' for name in KINDS)}, count(*)"
    " FROM ({found}) AS d CROSS JOIN facts AS f ON f.server = d.server"
    " GROUP BY 1, 2, 3, 4, 5, 6, 7"
)


def count(portal: Portal) -> Totals:
    """Count all servers; takes a second or two for a million."""
    with db.snapshot():
        return _count(portal)


def _count(portal: Portal) -> Totals:
    totals = Totals(time=time.time())
    levels = Levels(checkin_product(portal) or "")
    keys = {key.key: key for key in Key.select()}
    products = {name: tuple(products_of(portal, key)) for name, key in keys.items()}
    for feed in Feed.select():
        totals.states.update({(feed.name, state): 0 for state in STATES})
    alike: Counter[tuple[tuple[str, ...], tuple[str, ...], bool]] = Counter()
    for active, groups in _groups().items():
        for group, number in groups.items():
            feed_name = keys[group.key].feed_id
            behind = levels.behind(feed_name, group.kernel_id, group.level)
            state = state_of(behind, active)
            totals.states[feed_name, state] += number
            if behind and active:
                totals.behind[feed_name, behind] += number
            for product in products[group.key]:
                totals.products[product] += number
                totals.of_product[product, state] += number
            alike[group.kinds, products[group.key], active] += number
    for (kinds, has, active), number in alike.items():
        for kind, told in zip(KINDS, kinds, strict=True):
            for product in ("", *has):
                totals.kinds[kind, told, product, active] += number
    totals.uptimes = _uptimes()
    totals.removed = _removed()
    return totals


def _groups() -> Mapping[bool, Counter[_Group]]:
    """Servers that are alike, those that are active and those that are not.

    How many there are is known by groups; only the fewer of the two are looked at, one by one.
    """
    moment = to_microseconds(now() - ACTIVE_FOR)
    heard, silent = conditions.heard_since(moment), conditions.not_heard_since(moment)
    ((active,),) = db.fetch("SELECT count(*) FROM checkin WHERE time >= ?", (moment,))
    groups = _counted(db.fetch(_ALL))
    fewer_are_active = 2 * active < groups.total()
    few = heard if fewer_are_active else silent
    some = _counted(db.fetch(_SOME.format(found=few.found), few.found_values))
    groups.subtract(some)
    return {fewer_are_active: some, not fewer_are_active: +groups}


def _counted(rows: Iterable[tuple[Any, ...]]) -> Counter[_Group]:
    found: Counter[_Group] = Counter()
    for key, kernel_id, level, *kinds, number in rows:
        found[_Group(key, kernel_id, level, tuple(kinds))] += number
    return found


def _uptimes() -> Uptimes:
    found = Uptimes()
    for hour, number, longest, total in db.fetch(
        "SELECT uptime / 3600, count(*), max(uptime), sum(uptime) FROM checkin"
        " WHERE uptime >= 0 GROUP BY 1"
    ):
        found.hours[hour] = number
        found.longest = max(found.longest, longest)
        found.total += total
    return found


def _removed() -> int:
    """Servers that went in the last ``LATELY`` days; the change log is read from its end."""
    ((last,),) = db.fetch(
        "SELECT coalesce((SELECT sequence FROM change WHERE clock < ?"
        " ORDER BY sequence DESC LIMIT 1), 0)",
        (to_microseconds(since()),),
    )
    table: str = Server._meta.table_name
    return int(
        Change.select()
        .where(Change.sequence > last, Change.table == table, Change.row.is_null())
        .count()
    )


def since() -> datetime:
    """The moment from which on something was lately."""
    return now() - timedelta(days=LATELY)


def _size() -> int:
    ((servers,),) = db.fetch("SELECT coalesce(sum(servers), 0) FROM fleet")
    return int(servers)
