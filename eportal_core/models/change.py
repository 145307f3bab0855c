"""The change log: one row for every write, in the write's own transaction.

It feeds the agent process's memory and the user log, later webhooks and replication. Each row's
digest covers the one before, so that an edit of the database shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import msgspec
import peewee

from eportal_core.db import database, fetch
from eportal_core.models.base import MomentField, Table, now, to_microseconds


@dataclass(frozen=True)
class Actor:
    """Who changes something: a user, ``agent`` or ``system``; from where, and by which means.

    source: the address, or what there is of one. means: ``command line``, ``session``,
    ``password``, ``API key NAME``, ``job NAME``, and of an agent ``registration`` or ``check-in``.
    """

    name: str
    source: str = ""
    means: str = ""


_SYSTEM = Actor("system")
_actor: ContextVar[Actor] = ContextVar("actor", default=_SYSTEM)
_node = "local"


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Changes in this block are recorded as made by ``actor``."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


def set_node(name: str) -> None:
    """Name this portal in the change log; called once, at start."""
    global _node
    _node = name


class Change(Table):
    """A row as it became, or a tombstone (``row`` is null) when it went.

    before: the row as it was, null for a new one. digest: ``chained`` of this and the row before.
    """

    sequence = peewee.BigAutoField()
    node = peewee.TextField()
    clock = MomentField()
    table = peewee.TextField()
    key = peewee.TextField()
    row = peewee.TextField(null=True)
    before = peewee.TextField(null=True)
    actor = peewee.TextField()
    source = peewee.TextField()
    means = peewee.TextField(default="")
    digest = peewee.TextField(default="")

    class Meta:
        indexes = ((("table", "key"), False),)


#: What a digest covers.
_COVERED = ("node", "clock", "table", "key", "row", "before", "actor", "source", "means")


class RecordedTable(Table):
    """A table whose every write is in the change log: use ``put`` and ``drop``, nothing else."""

    #: Columns of which the log tells nothing but that they changed.
    SECRET: ClassVar[tuple[str, ...]] = ()

    def change_key(self) -> str:
        """The primary key as one text, parts of a composite one joined by ``/``."""
        return "/".join(str(self.__data__[name]) for name in self._key_parts())

    @classmethod
    def new(cls, **fields: Any) -> Self:
        """Insert a row and record it.

        Raises:
            peewee.IntegrityError: the key is taken.
        """
        row = cls(**fields)
        row.save(force_insert=True)
        record([row])
        return row

    def put(self) -> None:
        """Write the changed row and record it; one that is as it was is let be."""
        put_all([self])

    def drop(self) -> None:
        """Delete the row and record its end."""
        self.delete_instance()
        record([self], tombstone=True)

    @classmethod
    def _key_parts(cls) -> tuple[str, ...]:
        key = cls._meta.primary_key
        if isinstance(key, peewee.CompositeKey):
            return tuple(key.field_names)
        assert isinstance(key, peewee.Field)
        return (key.name,)


def record(rows: Sequence[RecordedTable], *, tombstone: bool = False) -> None:
    """Append ``rows`` to the change log; the caller holds the transaction that wrote them."""
    _append(
        [
            _entry(
                row._meta.table_name,
                row.change_key(),
                None if tombstone else _values(row),
                _values(row) if tombstone else None,
            )
            for row in rows
        ]
    )


def put_all(rows: Sequence[RecordedTable]) -> None:
    """Write changed rows and record what is another now; the caller holds the transaction."""
    _append([entry for row in rows if (entry := _put(row)) is not None])


def note(
    table: str,
    key: str,
    after: Mapping[str, Any] | None,
    before: Mapping[str, Any] | None = None,
) -> None:
    """Append what is no row of a table, and no secret; the caller holds the transaction.

    before, after: None when there was, or is, nothing.
    """
    _append([_entry(table, key, after, before)])


def chained(before: str, entry: Mapping[str, Any]) -> str:
    """The digest of an entry after one whose digest is ``before``: sha256, hex."""
    covered = msgspec.json.encode([before, *(entry[name] for name in _COVERED)])
    return hashlib.sha256(covered).hexdigest()


def _put(row: RecordedTable) -> dict[str, Any] | None:
    same = [row._meta.fields[name] == row.__data__[name] for name in row._key_parts()]
    before = type(row).select().where(*same).get()
    if before.__data__ == row.__data__:
        return None
    row.save()
    after = _values(row)
    for name in row.SECRET:
        if row.__data__[name] != before.__data__[name]:
            after[name] = "changed"
    return _entry(row._meta.table_name, row.change_key(), after, _values(before))


def _entry(
    table: str, key: str, after: Mapping[str, Any] | None, before: Mapping[str, Any] | None
) -> dict[str, Any]:
    actor = _actor.get()
    return {
        "node": _node,
        "clock": to_microseconds(now()),
        "table": table,
        "key": key,
        "row": None if after is None else _json(after),
        "before": None if before is None else _json(before),
        "actor": actor.name,
        "source": actor.source,
        "means": actor.means,
    }


def _append(entries: Sequence[dict[str, Any]]) -> None:
    if not entries:
        return
    # Its write lock is what keeps two writers from continuing the chain at the same end.
    assert database.in_transaction(), "what is recorded is written in a transaction"
    found = fetch("SELECT digest FROM change ORDER BY sequence DESC LIMIT 1")
    last = found[0][0] if found else ""
    for entry in entries:
        last = entry["digest"] = chained(last, entry)
    for batch in peewee.chunked(entries, 500):
        Change.insert_many(batch).execute()


def _values(row: RecordedTable) -> dict[str, Any]:
    fields = (field for field in row._meta.sorted_fields if field.name not in row.SECRET)
    return {f.column_name: f.db_value(row.__data__.get(f.name)) for f in fields}


def _json(values: Mapping[str, Any]) -> str:
    return msgspec.json.encode(values).decode()
