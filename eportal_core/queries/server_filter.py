"""Which servers are asked for: the filters of the HTTP API, and what an API key may see."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from eportal_core import db
from eportal_core.errors import InvalidValue
from eportal_core.models import LatestLevel, Patchset, now
from eportal_core.models.base import to_microseconds
from eportal_core.operations import latest
from eportal_core.operations.servers import keys_with
from eportal_core.portal import Portal
from eportal_core.queries import conditions
from eportal_core.queries.conditions import Condition
from eportal_core.queries.listings import ACTIVE_FOR
from eportal_core.queries.states import INACTIVE, OUT_OF_DATE, STATES, UNSUPPORTED, UP_TO_DATE

#: Longest text that is searched for, and most ids at once.
TEXT_MAX_LENGTH = 255
IDS_MAX = 10_000

_OF_STATE: dict[str, Callable[[], Condition]] = {
    UP_TO_DATE: conditions.is_updated,
    OUT_OF_DATE: partial(conditions.is_behind, 1),
    UNSUPPORTED: conditions.is_unsupported,
}

_TEXTS = ("distro", "virt", "machine", "release", "euname")
#: What an agent may leave untold.
UNTOLD = (*_TEXTS, "uptime")
_DAY = 86_400
_DAYS_MAX = 1_000_000
_AGE = re.compile(r"(-?)([0-9]{1,6})(h?)", re.ASCII)


@dataclass(frozen=True)
class Age:
    """More than ``length`` ago; ``at_most``: not longer ago than that."""

    length: timedelta
    at_most: bool

    @staticmethod
    def of(text: str, name: str) -> Age:
        """``3`` days, ``-3`` for three days at most, ``4h`` hours.

        Raises:
            InvalidValue: it is written otherwise; ``name`` is the argument's.
        """
        match = _AGE.fullmatch(text)
        if match is None:
            raise InvalidValue(f"{name}: write days as 3, hours as 4h, and at most as -3 or -4h.")
        sign, number, hours = match.groups()
        length = timedelta(hours=int(number)) if hours else timedelta(days=int(number))
        return Age(length, bool(sign))

    @property
    def moment(self) -> int:
        """Microseconds since 1970; an age before all times is theirs."""
        return max(0, to_microseconds(now()) - self.length // timedelta(microseconds=1))


@dataclass(frozen=True)
class ServerFilter:
    """Servers that meet all that is given; an empty text is not given.

    hostname, ip: ``%`` stands for anything. active: checked in within 48 hours. behind: at least so
    many levels. search: part of id, key, host name, address or tags. state: one of
    ``STATES``. uptime_min, uptime_max: days, at least and less than, as the server told last.
    unknown: one of ``UNTOLD``, of which it told nothing. feeds, products: what the caller may see,
    None for all; a server has the feed and the products of its key.
    """

    hostname: str = ""
    ip: str = ""
    ids: Sequence[str] = ()
    feed: str = ""
    key: str = ""
    tag: str = ""
    product: str = ""
    kernel_id: str = ""
    distro: str = ""
    virt: str = ""
    machine: str = ""
    release: str = ""
    euname: str = ""
    unknown: str = ""
    patchset: str = ""
    search: str = ""
    registered_age: Age | None = None
    checkin_age: Age | None = None
    updated_age: Age | None = None
    is_updated: bool | None = None
    behind: int | None = None
    active: bool | None = None
    state: str = ""
    uptime_min: int | None = None
    uptime_max: int | None = None
    feeds: Sequence[str] | None = None
    products: Sequence[str] | None = None

    def is_of_all(self, portal: Portal) -> bool:
        """Whether nothing is asked of the servers; what the caller may see is not asked for.

        Raises:
            InvalidValue, NotFound: as from ``conditions``.
        """
        return not replace(self, feeds=None, products=None).conditions(portal)

    def conditions(self, portal: Portal) -> list[Condition]:
        """What the servers meet; the latest levels are true by then.

        Raises:
            InvalidValue: a text is too long, a number out of range, a name not one of those.
            NotFound: there is no such product.
        """
        self._check()
        if self.is_updated is not None or self.behind is not None or self.state:
            latest.refresh(portal)
        return [*self._permitted(portal), *self._grouped(portal), *self._single(portal)]

    def _check(self) -> None:
        for name in ("hostname", "ip", "feed", "key", "tag", "search"):
            if len(getattr(self, name)) > TEXT_MAX_LENGTH:
                raise InvalidValue(f"{name}: has {TEXT_MAX_LENGTH} characters at most.")
        if self.behind is not None and not 1 <= self.behind <= LatestLevel.RANKS:
            raise InvalidValue(f"behind: a number from 1 to {LatestLevel.RANKS}.")
        if self.state and self.state not in STATES:
            raise InvalidValue(f"state: one of {', '.join(STATES)}.")
        for name in ("uptime_min", "uptime_max"):
            if not 0 <= (getattr(self, name) or 0) <= _DAYS_MAX:
                raise InvalidValue(f"{name}: days, a number from 0 to {_DAYS_MAX}.")
        if self.unknown and self.unknown not in UNTOLD:
            raise InvalidValue(f"unknown: one of {', '.join(UNTOLD)}.")
        if len(self.ids) > IDS_MAX:
            raise InvalidValue(f"id: {IDS_MAX} at most in one call.")

    def _permitted(self, portal: Portal) -> list[Condition]:
        found = []
        if self.feeds is not None:
            found.append(_of_feeds(self.feeds))
        if self.products is not None:
            found.append(_of_products(portal, self.products))
        return found

    def _grouped(self, portal: Portal) -> list[Condition]:
        """Conditions that groups of servers meet alike."""
        found = [
            conditions.equals(name, getattr(self, name))
            for name in ("key", "kernel_id", *_TEXTS)
            if getattr(self, name)
        ]
        if self.feed:
            found.append(_of_feeds([self.feed]))
        if self.product:
            found.append(_of_products(portal, [portal.product(self.product).name]))
        if self.patchset:
            product = latest.checkin_product(portal) or ""
            found.append(conditions.runs(Patchset.key(product, self.patchset)))
        if self.is_updated is not None:
            found.append(conditions.is_updated() if self.is_updated else conditions.is_behind(1))
        if self.behind is not None:
            found.append(conditions.is_behind(self.behind))
        if self.state in _OF_STATE:
            found.append(_OF_STATE[self.state]())
        if self.unknown in _TEXTS:
            found.append(conditions.is_unknown(self.unknown))
        return found

    def _single(self, portal: Portal) -> list[Condition]:
        found = [
            conditions.like(name, getattr(self, name))
            for name in ("hostname", "ip")
            # Nothing but placeholders is true of all.
            if getattr(self, name).strip("%")
        ]
        if self.ids:
            found.append(conditions.ids(self.ids))
        if self.tag:
            found.append(conditions.has_tag(self.tag))
        if self.search:
            found.append(conditions.mentions(self.search, _keys_like(self.search)))
        for column, age in (("registered", self.registered_age), ("updated", self.updated_age)):
            if age is not None:
                comparison = ">=" if age.at_most else "<"
                test, values = f"f.{column} {comparison} ?", (age.moment,)
                found.append(conditions.in_column(test, values, f"f.{column}"))
        if (age := self.checkin_age) is not None:
            since = conditions.heard_since if age.at_most else conditions.silent_since
            found.append(since(age.moment))
        for active in (self.active, self.state != INACTIVE if self.state else None):
            if active is None:
                continue
            heard = conditions.heard_since if active else conditions.not_heard_since
            found.append(heard(Age(ACTIVE_FOR, at_most=True).moment))
        days = (self.uptime_min, self.uptime_max)
        if days != (None, None):
            found.append(conditions.uptime(*(each and each * _DAY for each in days)))
        if self.unknown == "uptime":
            found.append(conditions.tells_no_uptime())
        return found


def _of_feeds(feeds: Sequence[str]) -> Condition:
    marks = ", ".join("?" * len(feeds))
    return conditions.of_keys(f"SELECT k.key FROM key AS k WHERE k.feed IN ({marks})", tuple(feeds))


def _of_products(portal: Portal, products: Sequence[str]) -> Condition:
    keys = keys_with(portal, products)
    return conditions.of_keys(", ".join("?" * len(keys)), tuple(keys))


def _keys_like(text: str) -> list[str]:
    pattern = f"%{conditions.escaped(text, '%')}%"
    return [
        key for (key,) in db.fetch("SELECT key FROM key WHERE key LIKE ? ESCAPE '\\'", (pattern,))
    ]
