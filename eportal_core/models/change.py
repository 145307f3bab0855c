"""The change log: one row for every write, in the write's own transaction.

It feeds the agent process's memory, and later the user log, webhooks and replication.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Self

import msgspec
import peewee

from eportal_core.models.base import MomentField, Table, now


@dataclass(frozen=True)
class Actor:
    """Who changes something: a user, ``agent`` or ``system``; from which address or terminal."""

    name: str
    source: str = ""


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
    """A row as it became, or a tombstone (``row`` is null) when it went."""

    sequence = peewee.BigAutoField()
    node = peewee.TextField()
    clock = MomentField()
    table = peewee.TextField()
    key = peewee.TextField()
    row = peewee.TextField(null=True)
    actor = peewee.TextField()
    source = peewee.TextField()


class RecordedTable(Table):
    """A table whose every write is in the change log: use ``put`` and ``drop``, nothing else."""

    def change_key(self) -> str:
        """The primary key as one text, parts of a composite one joined by ``/``."""
        primary_key = self._meta.primary_key
        if isinstance(primary_key, peewee.CompositeKey):
            return "/".join(str(self.__data__[name]) for name in primary_key.field_names)
        assert isinstance(primary_key, peewee.Field)
        return str(self.__data__[primary_key.name])

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
        """Write the changed row and record it."""
        self.save()
        record([self])

    def drop(self) -> None:
        """Delete the row and record its end."""
        self.delete_instance()
        record([self], tombstone=True)


def record(rows: Sequence[RecordedTable], *, tombstone: bool = False) -> None:
    """Append ``rows`` to the change log; the caller holds the transaction that wrote them."""
    actor, clock = _actor.get(), now()
    entries = [
        {
            "node": _node,
            "clock": clock,
            "table": row._meta.table_name,
            "key": row.change_key(),
            "row": None if tombstone else _as_json(row),
            "actor": actor.name,
            "source": actor.source,
        }
        for row in rows
    ]
    for batch in peewee.chunked(entries, 500):
        Change.insert_many(batch).execute()


def _as_json(row: RecordedTable) -> str:
    fields = row._meta.sorted_fields
    values = {f.column_name: f.db_value(row.__data__.get(f.name)) for f in fields}
    return msgspec.json.encode(values).decode()
