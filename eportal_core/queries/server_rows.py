"""Servers in the shape of the HTTP API."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import peewee

from eportal_core import db
from eportal_core.operations import latest
from eportal_core.portal import Portal
from eportal_core.queries import server_pages
from eportal_core.queries.listings import clones
from eportal_core.queries.server_pages import Listing

_START = datetime(1970, 1, 1)


class ServerShown(msgspec.Struct, frozen=True):
    """A server as its agent told; times are UTC, ``YYYY-MM-DD HH:MM:SS.ffffff``.

    key, feed: it was registered with, and gets its patches from. updated: when its level last
    changed. euname: the effective kernel, release: the one that was booted. kernel_id: sha1 of its
    /proc/version. uptime: seconds. patchset: the first that brought the level it runs.
    """

    id: str
    ip: str
    hostname: str
    key: str | None
    feed: str | None
    registered: str | None
    checkin: str | None
    updated: str | None
    euname: str | None
    release: str | None
    kernel_id: str | None
    patch_level: int | None
    patch_type: str | None
    tags: str | None
    uptime: int | None
    version: str | None
    virt: str | None
    kcare_version: str | None
    distro: str | None
    distro_version: str | None
    machine: str | None
    processor: str | None
    patchset: str | None


class ServerDetails(ServerShown, frozen=True):
    """A server, and what its feed has for it.

    latest_level: None when no level for its kernel is enabled in its feed. is_updated: whether it
    runs that, or a higher one; None when there is none. clones: host names that come in turns.
    """

    latest_level: int | None
    is_updated: bool | None
    clones: list[str]


_COLUMNS = (
    "f.server, f.ip, f.hostname, f.key, k.feed, f.registered, c.time, f.updated, f.euname,"
    " f.release, f.kernel_id, f.patch_level, f.patch_type, f.tags, c.uptime, f.version, f.virt,"
    " f.kcare_version, f.distro, f.distro_version, f.machine, f.processor,"
    " (SELECT min(l.patchset) FROM level AS l"
    " WHERE l.target = f.kernel_id AND l.level = f.patch_level)"
)
#: So many are read in one statement.
_AT_ONCE = 1000


def shown(numbers: Sequence[int]) -> list[ServerShown]:
    """The servers of these ``numbers`` that are still there, in this order."""
    found: dict[int, ServerShown] = {}
    for start in range(0, len(numbers), _AT_ONCE):
        some = numbers[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(some))
        rows = db.fetch(
            f"SELECT f.number, {_COLUMNS} FROM facts AS f JOIN checkin AS c ON c.server = f.server"
            f" LEFT JOIN key AS k ON k.key = f.key WHERE f.number IN ({marks})",
            some,
        )
        for number, *values in rows:
            for place in (5, 6, 7):
                values[place] = shown_time(values[place])
            values[22] = values[22].partition("/")[2] if values[22] else None
            found[number] = ServerShown(*values)
    return [found[number] for number in numbers if number in found]


def detailed(portal: Portal, number: int) -> ServerDetails | None:
    """One server, None when it is gone."""
    latest.refresh(portal)
    rows = shown([number])
    if not rows:
        return None
    (row,) = rows
    level = db.fetch(
        "SELECT level FROM latest_level WHERE feed = ? AND target = ? AND rank = 0",
        (row.feed, row.kernel_id),
    )
    newest = level[0][0] if level else None
    runs = -1 if row.patch_level is None else row.patch_level
    return ServerDetails(
        **msgspec.structs.asdict(row),
        latest_level=newest,
        is_updated=None if newest is None else runs >= newest,
        clones=clones([row.id]).get(row.id, []),
    )


def ids(numbers: Sequence[int]) -> list[str]:
    """The ids of the servers of these ``numbers`` that are still there."""
    return [
        name for (name,) in db.fetch_many("SELECT server FROM facts WHERE number IN (?)", numbers)
    ]


def servers() -> Iterator[dict[str, Any]]:
    """All servers, the oldest first, and ``clones`` of each: host names that come in turns."""
    shared = clones()
    everyone = db.fetch("SELECT number FROM facts ORDER BY registered, number")
    for chunk in peewee.chunked((number for (number,) in everyone), _AT_ONCE):
        for row in shown(chunk):
            yield {**msgspec.structs.asdict(row), "clones": shared.get(row.id, [])}


def exported(listing: Listing, size: int) -> Iterator[list[ServerShown]]:
    """All servers of a list, ``size`` at a time; what is wrong with the list is told at once.

    Raises:
        InvalidValue, NotFound: as from ``server_pages.page``.
    """
    first = server_pages.page(listing, size)

    def pieces() -> Iterator[list[ServerShown]]:
        page = first
        while True:
            # Each piece is asked for in a thread of its own.
            with db.connection():
                piece = shown(page.numbers)
                following = (
                    server_pages.page(listing, size, cursor=page.cursor) if page.cursor else None
                )
            yield piece
            if following is None:
                return
            page = following

    return pieces()


def shown_time(microseconds: int | None) -> str | None:
    """As ``models.shown`` has it, of what the database has."""
    if microseconds is None:
        return None
    moment = _START + timedelta(microseconds=microseconds)
    return moment.isoformat(" ", "microseconds")
