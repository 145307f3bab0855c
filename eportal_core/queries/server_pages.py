"""Pages of the list of servers: filtered, sorted, by offset or by cursor, the last one as fast."""

from __future__ import annotations

import binascii
import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from eportal_core import db
from eportal_core.db import search
from eportal_core.errors import InvalidValue
from eportal_core.portal import Portal
from eportal_core.queries.conditions import Condition, Values
from eportal_core.queries.plan import Plan, gathered, number, where
from eportal_core.queries.server_filter import ServerFilter

_BEFORE_ALL_TIMES = -(2**62)
#: A walk is given up after so many times the rows that it is likely to need.
_PATIENCE = 8


@dataclass(frozen=True)
class Sort:
    """A column to sort by and its index; ``tie`` tells those apart that have the same value.

    least: not above any value, None for a column that is never NULL. NULL comes before all.
    """

    column: str
    index: str
    tie: str = "f.number"
    least: int | str | None = None

    @property
    def is_of_checkin(self) -> bool:
        return self.column.startswith("c.")

    @property
    def alone(self) -> str:
        """FROM: the table of the column, in this order."""
        table = "checkin AS c" if self.is_of_checkin else "facts AS f"
        return f"{table} {search.by_index(self.index)}"

    @property
    def tables(self) -> str:
        """FROM: all servers, in this order."""
        if self.is_of_checkin:
            return f"{self.alone} CROSS JOIN facts AS f ON f.server = c.server"
        return self.alone


SORTS = {
    "registered": Sort("f.registered", "facts_registered"),
    "checkin": Sort("c.time", "checkin_time", "c.server", _BEFORE_ALL_TIMES),
    "updated": Sort("f.updated", "facts_updated", least=_BEFORE_ALL_TIMES),
    "hostname": Sort("f.hostname", "facts_hostname"),
    "ip": Sort("f.ip", "facts_ip"),
    "id": Sort("f.server", "facts_server"),
    "key": Sort("f.key", "facts_key"),
    "distro": Sort("f.distro", "facts_distro", least=""),
}


_Number = Annotated[int, msgspec.Meta(ge=_BEFORE_ALL_TIMES, le=2**62)]


class Place(msgspec.Struct, array_like=True, frozen=True):
    """What a cursor says: the last row of the page before, and what was counted then.

    row: how many rows stand before the page. backward: it is the page before one, and the row is
    the first of that.
    """

    listing: str
    value: _Number | str | None
    tie: _Number | str
    count: _Number
    row: _Number = 0
    backward: bool = False


@dataclass(frozen=True)
class Listing:
    """A list of servers, of which pages are asked for."""

    portal: Portal
    wanted: ServerFilter
    sort: str = "registered"
    descending: bool = False

    @property
    def mark(self) -> str:
        """Another text for another list, so that no cursor of one is used for another."""
        asked = repr((self.wanted, self.sort, self.descending))
        return hashlib.blake2b(asked.encode(), digest_size=6).hexdigest()


@dataclass(frozen=True)
class ServerPage:
    """count: servers in the whole list. numbers: those of this page, as ``facts`` has them.

    cursor: of the next page, None when this one is the last. previous: of the page before, None
    when this is the first. row: how many servers stood before this page when they were counted.
    """

    count: int
    numbers: list[int]
    cursor: str | None
    previous: str | None = None
    row: int = 0


def count(listing: Listing) -> int:
    """How many servers are in the list.

    Raises:
        InvalidValue, NotFound: as from ``ServerFilter.conditions``.
    """
    conditions = listing.wanted.conditions(listing.portal)
    with db.snapshot():
        return Plan(conditions).count


def page(
    listing: Listing, limit: int, offset: int = 0, cursor: str = "", *, known: int | None = None
) -> ServerPage:
    """``limit`` servers after ``offset``, or after or before the page that ``cursor`` came with.

    With a cursor, ``count`` is what was counted for the first page, and servers that come and go
    move none of the others to another page. known: how many servers are in the list, when that was
    counted already.

    Raises:
        InvalidValue, NotFound: as from ``ServerFilter.conditions``, or the cursor is none of this
            list's.
    """
    place = _read(cursor, listing) if cursor else None
    if place is not None:
        known = place.count
    plan = Plan(listing.wanted.conditions(listing.portal), known)
    with db.snapshot():
        counted = plan.count
        if counted and offset < counted and limit:
            rows = _rows(listing, plan, counted, limit, offset, place)
        else:
            rows = []
    more = len(rows) > limit
    if place is not None and place.backward:
        rows = rows[:limit][::-1]
        is_first, is_last = not more, False
    else:
        rows = rows[:limit]
        is_first, is_last = place is None and not offset, not more
    row = offset if place is None else 0 if is_first else place.row
    numbers = [number for number, _, _ in rows]
    if not rows:
        return ServerPage(counted, numbers, None, None, row)
    following = Place(listing.mark, *rows[-1][1:], counted, row + len(rows))
    before = Place(listing.mark, *rows[0][1:], counted, max(0, row - limit), backward=True)
    return ServerPage(
        counted,
        numbers,
        None if is_last else _cursor(following),
        None if is_first else _cursor(before),
        row,
    )


Row = tuple[int, Any, Any]


def _rows(
    listing: Listing, plan: Plan, counted: int, limit: int, offset: int, place: Place | None
) -> list[Row]:
    """Number, sorted value and tie of the rows of the page, and of one more if there is one.

    Those before a place come the other way round, the nearest first.
    """
    length = limit + 1
    # From whichever end is nearer.
    turned = place.backward if place is not None else offset > counted // 2
    if turned and place is None:
        length = min(length, counted - offset)
        offset = counted - offset - length
    descending = listing.descending is not turned
    stretch = Stretch(SORTS[listing.sort], descending, place, offset, length)
    rows = stretch.rows(plan, counted)
    return rows[::-1] if turned and place is None else rows


@dataclass(frozen=True)
class Part:
    """A part of a list that is one range of its index: tests and values.

    ties: rows with the value of the cursor. nulls: those without a value.
    """

    tests: tuple[str, ...] = ()
    values: Values = ()
    ties: bool = False
    nulls: bool = False


@dataclass(frozen=True)
class Stretch:
    """``length`` rows of a sorted list, ``offset`` rows after ``place`` or after its beginning."""

    sort: Sort
    descending: bool
    place: Place | None
    offset: int
    length: int

    def rows(self, plan: Plan, counted: int) -> list[Row]:
        """Read in the order of the list as long as that is cheaper than to gather and sort.

        Servers that match may stand close together, far from here: then a walk is long, and given
        up when it has looked at as many as there are to be gathered.
        """
        walked = plan.walked(self.sort.tables, has_checkin=self.sort.is_of_checkin)
        if plan.is_of_all:
            return self._read(*walked)
        within = plan.range_of(self.sort.column)
        whole = plan.about if within is None else plan.size(within)
        likely = (self.offset + self.length) * whole // counted
        if likely <= plan.source.size:
            for most in (_PATIENCE * likely, plan.source.size):
                end = self._end(most, within)
                rows = self._read(*walked, end=end, within=within)
                if end is None or len(rows) >= self.length:
                    return rows
        return self._read(*gathered(plan.source, needs_checkin=self.sort.is_of_checkin), sorts=True)

    def _end(self, most: int, within: Condition | None) -> Any:
        """The value that stands ``most`` rows from here; None when there are fewer.

        within: a condition that is a range of the column, and so of what is walked.
        """
        part = next((each for each in self._parts() if not each.ties and not each.nulls), None)
        if part is None:
            return None
        found = db.fetch(
            f"SELECT {self.sort.column} FROM {self.sort.alone}"
            f"{where([*part.tests, *_ranged(within)[0]])}"
            f" ORDER BY {self.sort.column} {self._way} LIMIT 1 OFFSET ?",
            [*part.values, *_ranged(within)[1], most],
        )
        return found[0][0] if found else None

    def _read(
        self,
        tables: str,
        tests: Sequence[str],
        values: Sequence[Any],
        *,
        end: Any = None,
        within: Condition | None = None,
        sorts: bool = False,
    ) -> list[Row]:
        """end: the value behind which nothing is looked at, None for none. sorts: by no index."""
        column, tie = self.sort.column, self.sort.tie
        order = f"{column} {self._way}, {tie} {self._way}"
        if sorts:
            order = f"{search.unsorted(column)} {self._way}, {search.unsorted(tie)} {self._way}"
        rows: list[Row] = []
        skip = self.offset
        for part in self._parts():
            asked, given = [*tests, *part.tests], [*values, *part.values]
            if not part.ties and not part.nulls:
                ranged, bounds = _ranged(within)
                asked += ranged
                given += bounds
                if end is not None:
                    asked.append(f"{column} {'>=' if self.descending else '<='} ?")
                    given.append(end)
            found = db.fetch(
                f"SELECT f.number, {column}, {tie} FROM {tables}{where(asked)}"
                f" ORDER BY {order} LIMIT ? OFFSET ?",
                [*given, self.length - len(rows), skip],
            )
            rows += found
            # What has no value is behind the end.
            is_last = end is not None and self.descending and not part.ties
            if len(rows) >= self.length or is_last:
                break
            if skip and not found:
                skip -= number(f"SELECT count(*) FROM {tables}{where(asked)}", given)
            else:
                skip = 0
        return rows

    def _parts(self) -> list[Part]:
        """What follows the place, in order. NULL comes before all values."""
        column, tie = self.sort.column, self.sort.tie
        after = "<" if self.descending else ">"
        nullable = self.sort.least is not None
        nulls = Part((f"{column} IS NULL",), nulls=True)
        all_values = Part((f"{column} >= ?",), (self.sort.least,)) if nullable else Part()
        if self.place is None:
            parts = [nulls, all_values] if nullable else [all_values]
            return parts[::-1] if self.descending else parts
        if self.place.value is None:
            left = Part((f"{column} IS NULL", f"{tie} {after} ?"), (self.place.tie,), nulls=True)
            return [left] if self.descending else [left, all_values]
        ties = Part(
            (f"{column} = ?", f"{tie} {after} ?"), (self.place.value, self.place.tie), ties=True
        )
        rest = Part((f"{column} {after} ?",), (self.place.value,))
        return [ties, rest, nulls] if self.descending and nullable else [ties, rest]

    @property
    def _way(self) -> str:
        return "DESC" if self.descending else "ASC"


def _ranged(within: Condition | None) -> tuple[list[str], list[Any]]:
    """The test, and its values, by which a condition is a range of an index."""
    if within is None:
        return [], []
    return [within.in_range], list(within.values[: within.in_range.count("?")])


def _cursor(place: Place) -> str:
    return urlsafe_b64encode(msgspec.msgpack.encode(place)).decode().rstrip("=")


def _read(cursor: str, listing: Listing) -> Place:
    try:
        packed = urlsafe_b64decode(f"{cursor}==")
        place = msgspec.msgpack.decode(packed, type=Place)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise InvalidValue("cursor: write it as the page before had it.") from None
    if place.listing != listing.mark or place.count < 1:
        raise InvalidValue("cursor: it belongs to a list with other filters, or another order.")
    return place
