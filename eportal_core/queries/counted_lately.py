"""How many servers a list has, counted anew when that is quick, and else within the last minute.

A page that somebody looks at need not wait for a count of a million; what is done with servers
counts them itself.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from eportal_core import db
from eportal_core.portal import Portal
from eportal_core.queries import server_pages
from eportal_core.queries.server_filter import ServerFilter
from eportal_core.queries.server_pages import Listing

#: Seconds of work from which on a count is kept; one that is kept is good for ``FRESH`` seconds,
#: and shown for ``OLD`` at most while it is done again.
SLOW = 0.005
FRESH = 60.0
OLD = 600.0
#: So many are kept.
_KEPT = 200


@dataclass(frozen=True)
class FleetTotals:
    """Servers: registered, and active."""

    total: int
    active: int


@dataclass
class _Count:
    number: int
    time: float
    is_recounted: bool = False


_counts: dict[tuple[str, str], _Count] = {}
_lock = threading.Lock()


def count(listing: Listing) -> int:
    """How many servers are in the list.

    Raises:
        InvalidValue, NotFound: as from ``server_pages.count``.
    """
    key = (str(listing.portal.config.data_dir), repr(listing.wanted))
    known = _counts.get(key)
    age = OLD if known is None else time.monotonic() - known.time
    if known is None or age >= OLD:
        return _count(key, listing)
    if age >= FRESH:
        with _lock:
            is_mine, known.is_recounted = not known.is_recounted, True
        if is_mine:
            threading.Thread(target=_recount, args=(key, listing), daemon=True).start()
    return known.number


def totals(portal: Portal) -> FleetTotals:
    """All servers, and the active ones."""
    return FleetTotals(
        count(Listing(portal, ServerFilter())), count(Listing(portal, ServerFilter(active=True)))
    )


def _count(key: tuple[str, str], listing: Listing) -> int:
    began = time.thread_time()
    number = server_pages.count(listing)
    with _lock:
        _counts.pop(key, None)
        if time.thread_time() - began >= SLOW:
            _counts[key] = _Count(number, time.monotonic())
        for old in list(_counts)[:-_KEPT]:
            del _counts[old]
    return number


def _recount(key: tuple[str, str], listing: Listing) -> None:
    with db.connection():
        _count(key, listing)
