"""The database: how it is opened, migrated, and the few statements peewee is too slow for.

SQLite is the embedded default. The ORM and migrations speak to any peewee database; SQL that one
database alone understands stands in this package and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import peewee
from playhouse.pool import PooledSqliteDatabase

from eportal_core.errors import DatabaseError

#: Bound by ``connect``; models name it in their Meta.
database = peewee.DatabaseProxy()

MIGRATIONS = Path(__file__).parents[1] / "migrations"
FILE_NAME = "eportal.sqlite"

#: FULL: what was answered survives a power cut, not only a crash of the process.
#: busy_timeout: how long a transaction waits for another process's to end, milliseconds. It stands
#: here because the pool takes an argument ``timeout`` for itself.
PRAGMAS = {
    "busy_timeout": 30_000,
    "journal_mode": "wal",
    "synchronous": "full",
    "foreign_keys": "on",
    "cache_size": -16_000,
}


#: Errors that are ours, and not those of the database or its file.
_MISTAKES = (
    peewee.DataError,
    peewee.IntegrityError,
    peewee.NotSupportedError,
    peewee.ProgrammingError,
)


class _Database(PooledSqliteDatabase):  # type: ignore[misc]  # playhouse has no types
    """SQLite, as its transactions end when the disk is full."""

    def rollback(self) -> None:
        """It may have rolled back already; asked again, it would hide why by another error."""
        if self.connection().in_transaction:
            super().rollback()


def connect(data_dir: Path) -> peewee.Database:
    """Bind the models to the database in ``data_dir``; opens nothing yet.

    Its file is for its owner alone: it has the hashes of passwords. What SQLite puts beside it gets
    the same mode.

    ``lock_type="IMMEDIATE"`` takes the write lock at BEGIN: two transactions that read and then
    write wait for each other and do not fail.
    """
    path = data_dir / FILE_NAME
    # Whatever is wrong with the folder is said when it is opened.
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    bound: peewee.Database = _Database(
        str(path),
        pragmas=PRAGMAS,
        lock_type="IMMEDIATE",
        max_connections=64,
        stale_timeout=None,
        # The pool hands a connection from thread to thread, to one at a time.
        check_same_thread=False,
    )
    database.initialize(bound)
    return bound


@contextmanager
def connection() -> Iterator[None]:
    """A connection for this thread and this block; the pool keeps it open afterwards.

    A block inside another one uses its connection.

    Raises:
        DatabaseError: the database cannot be opened or does not answer.
    """
    with errors():
        if database.is_closed():
            with database.connection_context():
                yield
        else:
            yield


def close() -> None:
    """Close this thread's connection and those that wait in the pool; no other thread's."""
    database.close()
    database.close_idle()


@contextmanager
def errors() -> Iterator[None]:
    """Turn what the database refuses for reasons of its own into one sentence.

    Raises:
        DatabaseError: locked, full, damaged, out of reach. What names the file is a note of it:
            the sentence may go to whoever asks over HTTP.
    """
    try:
        yield
    except _MISTAKES:
        raise
    except peewee.DatabaseError as error:
        refusal = DatabaseError(f"The database cannot be used: {error}.")
        if any(words in str(error) for words in ("readonly database", "unable to open")):
            path = database.obj.database
            refusal.add_note(
                f"Run this as the user to whom {path} belongs, and see that its disk is writable."
            )
        raise refusal from error


def migrate(directories: Mapping[str, Path]) -> list[str]:
    """Apply what is pending, core first; each migration is one transaction.

    directories: plugin name -> its folder of ``0001_name.py`` scripts.
    Returns the applied names as ``core/0001_initial``.

    Raises:
        DatabaseError: a newer version was here.
    """
    refuse_newer(directories)
    # Loading it costs as much as a whole command, and nearly none migrates.
    from playhouse.migrations import Runner

    return [
        f"{owner}/{name}"
        for owner, folder, table in _histories(directories)
        for name in Runner(database.obj, str(folder), table_name=table).up()
    ]


def pending(directories: Mapping[str, Path]) -> list[str]:
    """Names of migrations that this version has and the database has not."""
    return [
        f"{owner}/{name}"
        for owner, folder, table in _histories(directories)
        for name in sorted(_scripts(folder) - _applied(table))
    ]


def refuse_newer(directories: Mapping[str, Path]) -> None:
    """Refuse a database that has migrations which this version has not.

    Raises:
        DatabaseError: a newer version was here; the sentence names one of its migrations.
    """
    for owner, folder, table in _histories(directories):
        for name in sorted(_applied(table) - _scripts(folder)):
            raise DatabaseError(
                f"The database was made by a newer version or another set of plugins: it has "
                f"{owner}/{name}, which is not installed here."
            )


def is_empty(directories: Mapping[str, Path]) -> bool:
    """Whether nothing was migrated yet; the table of a history may be there, made just before."""
    histories = {table for _, _, table in _histories(directories)}
    return histories.issuperset(database.get_tables())


def _histories(directories: Mapping[str, Path]) -> Iterator[tuple[str, Path, str]]:
    """Owner, folder of scripts, and the table that records those applied."""
    yield "core", MIGRATIONS, "migration"
    for owner, folder in sorted(directories.items()):
        yield owner, folder, f"migration_{owner}"


def _scripts(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("[0-9]*.py")}


def _applied(table: str) -> set[str]:
    if not database.table_exists(table):
        return set()
    return {name for (name,) in database.execute_sql(f'SELECT name FROM "{table}"')}


def rows(query: peewee.ModelSelect[Any]) -> Iterator[tuple[Any, ...]]:
    """The selected columns of each row, without models around them."""
    return iter(query.tuples())


@contextmanager
def snapshot() -> Iterator[None]:
    """All that is read in this block is of one moment; nothing may be written in it.

    In a transaction that is open, that one's moment.
    """
    if database.in_transaction():
        yield
    else:
        with database.atomic("DEFERRED"):
            yield


def fetch(statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """Rows of ``statement``, whose parameters are ``?``, whatever the database calls them.

    Raw where a list is to be as fast as the database: composing it of models costs more than that.
    """
    found = database.execute_sql(statement.replace("?", database.param), values)
    return list(found.fetchall())


def execute(statement: str, values: Sequence[object] = ()) -> None:
    """Like ``fetch``, of a statement that returns nothing."""
    database.execute_sql(statement.replace("?", database.param), values)


def relax_durability() -> None:
    """For this connection, a commit waits for no disk: for facts that the next check-in repeats."""
    database.execute_sql("PRAGMA synchronous=NORMAL")


def execute_many(statement: str, rows: Sequence[Sequence[object]]) -> None:
    """One prepared statement for many rows, in the transaction that is open.

    ``statement`` writes its parameters as ``?``, whatever the database calls them.
    Raw because peewee costs 120 to 400 microseconds a row (docs/performance.md).
    """
    cursor = database.connection().cursor()
    cursor.executemany(statement.replace("?", database.param), rows)
    cursor.close()


def fetch_many(statement: str, values: Iterable[object]) -> Iterator[tuple[Any, ...]]:
    """Rows of ``statement`` for every value, its ``IN (?)`` filled with a few hundred at a time."""
    for chunk in peewee.chunked(values, 500):
        marks = ",".join([database.param] * len(chunk))
        yield from database.execute_sql(statement.replace("(?)", f"({marks})"), chunk)
