"""Tags of servers, and how many servers have each."""

from __future__ import annotations

from dataclasses import dataclass

from eportal_core import db
from eportal_core.queries import conditions


@dataclass(frozen=True)
class TagCount:
    tag: str
    servers: int


@dataclass(frozen=True)
class TagPage:
    """Tags in order; whether others come before and after them."""

    tags: list[TagCount]
    has_before: bool
    has_after: bool


def page(limit: int, *, search: str = "", after: str = "", before: str = "") -> TagPage:
    """``limit`` tags with ``search`` in them, after one tag or before another one."""
    tests, values = ["tag LIKE ? ESCAPE '\\'"], [f"%{conditions.escaped(search, '%')}%"]
    if before:
        tests, values = [*tests, "tag < ?"], [*values, before]
    elif after:
        tests, values = [*tests, "tag > ?"], [*values, after]
    rows = db.fetch(
        f"SELECT tag, servers FROM tag WHERE {' AND '.join(tests)}"
        f" ORDER BY tag {'DESC' if before else 'ASC'} LIMIT ?",
        [*values, limit + 1],
    )
    found = [TagCount(tag, servers) for tag, servers in rows[:limit]]
    more = len(rows) > limit
    if before:
        return TagPage(found[::-1], more, True)
    return TagPage(found, bool(after), more)


def servers_with(tag: str) -> int:
    """How many servers have this tag."""
    rows = db.fetch("SELECT servers FROM tag WHERE tag = ?", (tag,))
    return int(rows[0][0]) if rows else 0


def any_tags() -> bool:
    """Whether any server has a tag."""
    return bool(db.fetch("SELECT 1 FROM tag LIMIT 1"))
