"""The user log: the change log as people read it, whether it is whole, and how long it is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import peewee

from eportal_core import db
from eportal_core.errors import InvalidValue
from eportal_core.models import Change, now, shown
from eportal_core.models.base import MomentField, NamesField, to_microseconds
from eportal_core.models.change import RecordedTable, chained, note

#: Fields of an entry, as exports have them.
FIELDS = ("sequence", "time", "actor", "source", "means", "action", "table", "key", "changed")
#: Of the entry that a pruning leaves: which entry was the last that went, and its digest.
_PRUNED = ("log", "pruned")
#: A quarter of the log is more than this, or so many entries may go at once.
_AT_ONCE_MIN = 1000


@dataclass(frozen=True)
class Filter:
    """Which entries are wanted; None and "" are any. since, until: UTC, the latter exclusive.

    before: only entries with a smaller sequence, so that one page follows another.
    """

    actor: str = ""
    table: str = ""
    key: str = ""
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None


@dataclass(frozen=True)
class Verified:
    """entries: how many are in the chain, and older: how many before it began. head: its end.

    broken: the sequence of the first entry that is not what was written, None when all are.
    """

    entries: int
    older: int
    head: str
    broken: int | None


def moment(text: str, name: str) -> datetime | None:
    """An ISO 8601 date or time, UTC unless it says otherwise; None for an empty text.

    Raises:
        InvalidValue: it is none; ``name`` is the argument's.
    """
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise InvalidValue(f"{name}: write a time as 2026-11-22 or 2026-11-22T09:30.") from None
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found


def entries(wanted: Filter, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """The newest first; ``changed`` maps a column to its values before and after."""
    rows = Change.select().order_by(Change.sequence.desc()).limit(limit)
    conditions = {
        "actor": Change.actor == wanted.actor if wanted.actor else None,
        "table": Change.table == wanted.table if wanted.table else None,
        "key": Change.key == wanted.key if wanted.key else None,
        "since": Change.clock >= wanted.since if wanted.since else None,
        "until": Change.clock < wanted.until if wanted.until else None,
        "before": Change.sequence < wanted.before if wanted.before else None,
    }
    for condition in conditions.values():
        if condition is not None:
            rows = rows.where(condition)
    for row in rows.iterator():
        yield _shown(row)


def verify(expected: str = "") -> Verified:
    """Compute the chain again.

    expected: a digest that was noted earlier; an entry must have it.

    Raises:
        InvalidValue: none has.
    """
    count = older = 0
    last, found = "", False
    for row in Change.select().order_by(Change.sequence).dicts().iterator():
        if not count and not older:
            # The digest before it is an entry's own, should that be the one expected.
            last = _before(row["sequence"])
            found = bool(last) and last == expected
        # Of versions that kept no digests.
        if not row["digest"] and not count and not last:
            older += 1
            continue
        if chained(last, {**row, "clock": to_microseconds(row["clock"])}) != row["digest"]:
            return Verified(count, older, last, row["sequence"])
        count += 1
        last = row["digest"]
        found = found or last == expected
    if expected and not found:
        raise InvalidValue(
            "No entry of the log has this digest: entries were removed, or are too old to be kept, "
            "or it is another portal's."
        )
    return Verified(count, older, last, None)


def prune(days: int) -> int:
    """Remove entries older than ``days``; returns how many. The chain goes on where they end.

    Only what is older than all that follows goes, and no more than a quarter of the log at once: a
    clock that was set wrong for a day takes little with it.
    """
    with db.database.atomic():
        end = _first_since(now() - timedelta(days=days)) or _newest() + 1
        old = Change.select(Change.sequence, Change.digest).where(Change.sequence < end)
        most = max(_AT_ONCE_MIN, Change.select().count() // 4)
        going = list(db.rows(old.order_by(Change.sequence).limit(most)))
        if not going:
            return 0
        last, digest = going[-1]
        # Before they go: an empty table would give their numbers to others.
        note(*_PRUNED, {"sequence": last, "digest": digest})
        Change.delete().where(Change.sequence <= last).execute()
    return len(going)


def _first_since(moment: datetime) -> int | None:
    found: int | None = (
        Change.select(Change.sequence)
        .where(Change.clock >= moment)
        .order_by(Change.sequence)
        .limit(1)
        .scalar()
    )
    return found


def _newest() -> int:
    return int(Change.select(peewee.fn.MAX(Change.sequence)).scalar() or 0)


def _before(sequence: int) -> str:
    """The digest of the entry before the first one that is there: a pruning has noted it."""
    table, key = _PRUNED
    rows = (
        Change.select(Change.row)
        .where(Change.table == table, Change.key == key)
        .order_by(Change.sequence.desc())
    )
    for (row,) in db.rows(rows):
        pruned = msgspec.json.decode(row)
        if pruned["sequence"] < sequence:
            return str(pruned["digest"])
    return ""


def _shown(row: Change) -> dict[str, Any]:
    before, after = _values(row.table, row.before), _values(row.table, row.row)
    action = "removed" if row.row is None else "added" if row.before is None else "changed"
    return {
        "sequence": row.sequence,
        "time": shown(row.clock),
        "actor": row.actor,
        "source": row.source,
        "means": row.means,
        "action": action,
        "table": row.table,
        "key": row.key,
        "changed": {
            name: [before.get(name), after.get(name)]
            for name in before | after
            if before.get(name) != after.get(name)
        },
    }


def _values(table: str, text: str | None) -> dict[str, Any]:
    """Columns as people read them: a list is one, and a time is no number."""
    values = {} if text is None else msgspec.json.decode(text, type=dict[str, Any])
    columns = _columns(table)
    return {name: _told(columns.get(name), value) for name, value in values.items()}


def _told(field: peewee.Field | None, value: Any) -> Any:
    # What is told in a value's place, such as that a secret changed, is no value of the field.
    if isinstance(field, MomentField) and isinstance(value, int):
        return shown(field.python_value(value))
    if isinstance(field, NamesField) and isinstance(value, str):
        return field.python_value(value)
    return value


def _columns(table: str) -> dict[str, peewee.Field]:
    for model in RecordedTable.__subclasses__():
        if model._meta.table_name == table:
            return dict(model._meta.columns)
    return {}
