"""What every table shares: its database, times in UTC, and the change log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import peewee

from eportal_core.db import database

_MICROSECONDS = 1_000_000


def now() -> datetime:
    return datetime.now(UTC)


def to_microseconds(moment: datetime) -> int:
    """Microseconds since 1970 UTC; integer arithmetic, so nothing is rounded."""
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * _MICROSECONDS + delta.microseconds


def shown(moment: datetime | None) -> str | None:
    """``YYYY-MM-DD HH:MM:SS.ffffff`` in UTC, always with microseconds; clients rely on them."""
    return None if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S.%f")


class MomentField(peewee.BigIntegerField):
    """A time: an aware ``datetime`` in Python, microseconds since 1970 UTC in the database."""

    def db_value(self, value: Any) -> int | None:
        return to_microseconds(value) if isinstance(value, datetime) else value

    def python_value(self, value: Any) -> datetime | None:
        if value is None:
            return None
        seconds, micro = divmod(value, _MICROSECONDS)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micro)


class NamesField(peewee.TextField):
    """A list of names, as JSON text."""

    def db_value(self, value: Any) -> str | None:
        return None if value is None else msgspec.json.encode(list(value)).decode()

    def python_value(self, value: Any) -> list[str] | None:
        return None if value is None else msgspec.json.decode(value, type=list[str])


class Table(peewee.Model):
    """Root of all models."""

    class Meta:
        database = database
        legacy_table_names = False
