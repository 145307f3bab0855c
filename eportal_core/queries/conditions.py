"""What can be asked of a server, as SQL: on one row, and as a query for all that meet it.

A condition on a row says ``f`` for ``facts`` and ``c`` for ``checkin``. One that groups of servers
meet alike says ``{t}`` instead: it is asked of ``facts`` or of ``fleet``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eportal_core.db import search

Values = tuple[Any, ...]

_LEVEL = "coalesce({t}.patch_level, -1)"
_RANKED = (
    "(SELECT l.level FROM latest_level AS l WHERE l.rank = ? AND l.target = {t}.kernel_id"
    " AND l.feed = (SELECT k.feed FROM key AS k WHERE k.key = {t}.key))"
)
#: Groups of servers with the level ``rank`` below the latest that their feed has for their kernel.
_RANKED_GROUPS = (
    "key AS k CROSS JOIN fleet AS g ON g.key = k.key CROSS JOIN latest_level AS l"
    " ON l.rank = ? AND l.target = g.kernel_id AND l.feed = k.feed"
)


@dataclass(frozen=True)
class Condition:
    """test: true of a row that meets it, with its values.

    found: a query for the ``number`` of all that do, or for their ``server`` (the id) where
    ``by_id``; empty for a condition that groups meet. scan: the same without the text index, with
    the values of the test. column: the one of which it is a range; in_range: the test then, where
    the column is not NULL, with the first of the values. opposite: what all the others meet, and
    nobody else. counted: how many do, with ``found_values``, where somebody keeps count. groups:
    FROM of the rows ``g`` of ``fleet`` that meet it, with the values of the test, where a join is
    faster than to ask each.
    """

    test: str
    values: Values
    found: str = ""
    found_values: Values = ()
    by_id: bool = False
    scan: str = ""
    column: str = ""
    in_range: str = ""
    opposite: Condition | None = None
    counted: str = ""
    groups: str = ""

    @property
    def is_grouped(self) -> bool:
        return not self.found

    @property
    def needs_checkin(self) -> bool:
        return "c." in self.test


def equals(column: str, value: object) -> Condition:
    """A column of ``fleet`` has this value."""
    return Condition(f"{{t}}.{column} = ?", (value,))


def is_unknown(column: str) -> Condition:
    """A column of ``fleet`` that is a text, of which the server told nothing."""
    return Condition(f"coalesce({{t}}.{column}, '') = ''", ())


def of_keys(query: str, values: Values) -> Condition:
    """The key is one of those that ``query`` finds."""
    return Condition(f"{{t}}.key IN ({query})", values)


def is_updated() -> Condition:
    """Runs the latest level that its feed has enabled for its kernel, or a higher one."""
    return _compared(">=", 0)


def is_behind(levels: int) -> Condition:
    """At least so many levels above the one that it runs are enabled in its feed."""
    return _compared("<", levels - 1)


def _compared(operator: str, rank: int) -> Condition:
    """Its level, with the one of this rank."""
    groups = f"{_RANKED_GROUPS} AND {_LEVEL.format(t='g')} {operator} l.level"
    return Condition(f"{_LEVEL} {operator} {_RANKED}", (rank,), groups=groups)


def is_unsupported() -> Condition:
    """Its feed has no level enabled for its kernel."""
    return Condition(f"{_RANKED} IS NULL", (0,))


def runs(patchset: str) -> Condition:
    """Its level is one that this patchset, given by its id, was the first to bring."""
    brought = (
        "SELECT l.target, l.level FROM level AS l WHERE l.patchset = ? AND NOT EXISTS (SELECT 1"
        " FROM level AS e WHERE e.target = l.target AND e.level = l.level"
        " AND e.patchset < l.patchset)"
    )
    return Condition(f"({{t}}.kernel_id, {{t}}.patch_level) IN ({brought})", (patchset,))


def in_column(test: str, values: Values, column: str = "") -> Condition:
    """A test of a column of ``facts`` that has an index; ``column``: when it is a range of that."""
    found = f"SELECT f.number FROM facts AS f WHERE {test}"
    return Condition(test, values, found, values, column=column, in_range=test)


def ids(servers: Sequence[str]) -> Condition:
    """One of these ids."""
    marks = ", ".join("?" * len(servers))
    return in_column(f"f.server IN ({marks})", tuple(servers))


def has_tag(tag: str) -> Condition:
    return Condition(
        "EXISTS (SELECT 1 FROM server_tag AS t WHERE t.tag = ? AND t.number = f.number)",
        (tag,),
        "SELECT number FROM server_tag WHERE tag = ?",
        (tag,),
        counted="SELECT coalesce(sum(servers), 0) FROM tag WHERE tag = ?",
    )


def like(column: str, pattern: str) -> Condition:
    """``hostname`` or ``ip`` is like ``pattern``, in which ``%`` stands for anything."""
    parts = pattern.split("%")
    if len(parts) == 1:
        return in_column(f"f.{column} = ?", (pattern,), f"f.{column}")
    if parts[0] and not any(parts[1:]):
        beyond = f"{parts[0]}{chr(0x10FFFF)}"
        between = f"f.{column} >= ? AND f.{column} < ?"
        return in_column(between, (parts[0], beyond), f"f.{column}")
    test = f"f.{column} LIKE ? ESCAPE '\\'"
    value = (escaped(pattern),)
    long = [part for part in parts if len(part) >= search.SHORTEST]
    if not long:
        return in_column(test, value)
    found, wanted = search.containing(long, (column,))
    scan = f"SELECT f.number FROM facts AS f WHERE {test}"
    if parts == ["", *long, ""] and len(long) == 1 and pattern.isascii():
        return Condition(test, value, found, (wanted,), scan=scan)
    # The index knows the parts, and nothing of their order.
    return Condition(
        test,
        value,
        f"SELECT f.number FROM ({found}) AS s CROSS JOIN facts AS f ON f.number = s.number"
        f" WHERE {test}",
        (wanted, *value),
        scan=scan,
    )


def mentions(text: str, keys: Sequence[str]) -> Condition:
    """``text`` is part of the id, host name, address or tags; or the key is one of ``keys``."""
    pattern = f"%{escaped(text, '%')}%"
    columns = " OR ".join(f"f.{name} LIKE ? ESCAPE '\\'" for name in search.SEARCHED)
    values: Values = (pattern,) * len(search.SEARCHED)
    if len(text) < search.SHORTEST:
        found, found_values = f"SELECT f.number FROM facts AS f WHERE {columns}", values
    else:
        found, wanted = search.containing([text])
        found_values = (wanted,)
        if not text.isascii():
            # The index takes more letters for the same than LIKE does.
            found = (
                f"SELECT f.number FROM ({found}) AS s CROSS JOIN facts AS f"
                f" ON f.number = s.number WHERE {columns}"
            )
            found_values += values
    if not keys:
        return Condition(f"({columns})", values, found, found_values)
    marks = ", ".join("?" * len(keys))
    return Condition(
        f"({columns} OR f.key IN ({marks}))",
        (*values, *keys),
        f"{found} UNION SELECT number FROM facts WHERE key IN ({marks})",
        (*found_values, *keys),
    )


def silent_since(moment: int) -> Condition:
    """Neither checked in at ``moment`` or later, nor was registered since and not heard of yet."""
    return Condition(
        "(c.time < ? OR (c.time IS NULL AND f.registered < ?))",
        (moment, moment),
        "SELECT server FROM checkin WHERE time < ? UNION ALL"
        " SELECT n.server FROM checkin AS n CROSS JOIN facts AS f ON f.server = n.server"
        " WHERE n.time IS NULL AND f.registered < ?",
        (moment, moment),
        by_id=True,
        column="c.time",
        in_range="c.time < ?",
    )


def not_heard_since(moment: int) -> Condition:
    """Did not check in at ``moment`` or later; perhaps it registered a moment ago."""
    return Condition(
        "(c.time < ? OR c.time IS NULL)",
        (moment,),
        "SELECT server FROM checkin WHERE time < ?"
        " UNION ALL SELECT server FROM checkin WHERE time IS NULL",
        (moment,),
        by_id=True,
        column="c.time",
        in_range="c.time < ?",
    )


def heard_since(moment: int) -> Condition:
    """Checked in at ``moment`` or later; microseconds since 1970."""
    return Condition(
        "c.time >= ?",
        (moment,),
        "SELECT server FROM checkin WHERE time >= ?",
        (moment,),
        by_id=True,
        column="c.time",
        in_range="c.time >= ?",
        opposite=not_heard_since(moment),
    )


def uptime(least: int | None, most: int | None) -> Condition:
    """The uptime that it told last, seconds: ``least`` or more, less than ``most``."""
    bounds = {"{c}uptime >= ?": least, "{c}uptime < ?": most}
    test = " AND ".join(bound for bound, value in bounds.items() if value is not None)
    values = tuple(value for value in bounds.values() if value is not None)
    found = f"SELECT server FROM checkin WHERE {test.format(c='')}"
    return Condition(test.format(c="c."), values, found, values, by_id=True)


def tells_no_uptime() -> Condition:
    found = "SELECT server FROM checkin WHERE uptime IS NULL"
    return Condition("c.uptime IS NULL", (), found, by_id=True)


def escaped(text: str, *more: str) -> str:
    """``text`` for LIKE with ``\\`` as escape; ``%`` keeps its meaning unless it is in ``more``."""
    for character in ("\\", "_", *more):
        text = text.replace(character, f"\\{character}")
    return text
