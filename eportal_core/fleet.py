"""Which servers are patched: each up to date, behind, not supported, or silent.

It is told for the product that servers check in for: what they run of the others is not known.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from eportal_core import db
from eportal_core.models import Checkin, Facts, Level, Server, enabled_levels, now
from eportal_core.operations.keys import get as key_of
from eportal_core.operations.latest import checkin_product
from eportal_core.portal import Portal
from eportal_core.queries import ACTIVE_FOR
from eportal_core.queries.states import state_of


class Levels:
    """The levels that a feed has enabled for each target, of one product; read when asked for."""

    def __init__(self, product: str) -> None:
        self._product = product
        self._of_feed: dict[str, dict[str, list[int]]] = {}

    def behind(self, feed: str, target: str | None, level: int | None) -> int | None:
        """How many levels of ``target`` are newer than ``level``; None when it has none."""
        levels = self._feed(feed).get(target or "")
        runs = -1 if level is None else level
        return None if levels is None else len(levels) - bisect_right(levels, runs)

    def _feed(self, feed: str) -> dict[str, list[int]]:
        if feed not in self._of_feed:
            found: dict[str, set[int]] = {}
            rows = enabled_levels(self._product, feed).select(Level.target, Level.level)
            for target, level in db.rows(rows):
                found.setdefault(target, set()).add(level)
            self._of_feed[feed] = {target: sorted(levels) for target, levels in found.items()}
        return self._of_feed[feed]


@dataclass(frozen=True)
class Patched:
    """A server, and how it is patched; ``kernel_id`` and ``level`` as it said last."""

    hostname: str
    ip: str
    kernel_id: str | None
    level: int | None
    state: str


def servers_of_key(portal: Portal, key: str) -> Iterator[Patched]:
    """The servers of a key.

    Raises:
        NotFound: there is no such key.
    """
    feed = key_of(key).feed_id
    levels = Levels(checkin_product(portal) or "")
    rows = (
        Server.select(
            Facts.hostname,
            Facts.ip,
            Facts.kernel_id,
            Facts.patch_level,
            Checkin.time >= now() - ACTIVE_FOR,
        )
        .join_from(Server, Facts)
        .join_from(Server, Checkin)
        .where(Server.key == key)
        .order_by(Facts.hostname, Server.id)
    )
    for hostname, ip, kernel_id, level, active in db.rows(rows):
        state = state_of(levels.behind(feed, kernel_id, level), bool(active))
        yield Patched(hostname, ip, kernel_id, level, state)
