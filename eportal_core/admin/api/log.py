"""``/admin/api/log``: who changed what."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from eportal_core import user_log
from eportal_core.admin.api.operation import Access, Call, Operation


class Entry(msgspec.Struct, frozen=True):
    """A change. action: added, changed or removed. changed: values before and after, by column."""

    sequence: int
    time: str
    actor: str
    source: str
    means: str
    action: str
    table: str
    key: str
    changed: dict[str, list[Any]]


class Entries(msgspec.Struct, frozen=True):
    """next: what ``before`` has to be for the following page, null on the last one."""

    result: list[Entry]
    next: int | None


class EntriesWanted(msgspec.Struct, frozen=True):
    """since, until: ISO 8601, UTC unless it says otherwise, the latter exclusive."""

    user: str = ""
    table: str = ""
    key: str = ""
    since: str = ""
    until: str = ""
    before: Annotated[int, msgspec.Meta(ge=1, le=2**53)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50


def list_log(call: Call, arguments: EntriesWanted) -> Entries:
    """Changes, the latest first."""
    wanted = user_log.Filter(
        arguments.user,
        arguments.table,
        arguments.key,
        user_log.moment(arguments.since, "since"),
        user_log.moment(arguments.until, "until"),
        arguments.before,
    )
    rows = list(user_log.entries(wanted, arguments.limit + 1))
    more = len(rows) > arguments.limit
    shown = [msgspec.convert(row, Entry) for row in rows[: arguments.limit]]
    return Entries(shown, shown[-1].sequence if more else None)


OPERATIONS = (Operation("GET", "/admin/api/log", Access.READER, list_log),)
