"""The database comes to this version, and no command works on one of another."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import peewee
import pytest

from eportal_core import db
from eportal_core import plugins as plugins_module
from eportal_core.markers import hookimpl
from eportal_core.models.base import Table
from eportal_core.portal import Portal
from tests.support.commands import CommandLine
from tests.support.inprocess import InProcess

CORE = sorted(path.stem for path in db.MIGRATIONS.glob("[0-9]*.py"))

COMMANDS = [["feed"], ["key", "-a", "K"], ["server"], ["doctor"], ["--list-servers"], ["serve"]]
commands = pytest.mark.parametrize("command", COMMANDS, ids=" ".join)


class Later:
    """A plugin with a migration of its own, installed when a test says so."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._monkeypatch = monkeypatch
        self._load = plugins_module.load

    def comes(self, body: str = '    db.execute_sql("CREATE TABLE more (id INTEGER)")\n') -> None:
        self._folder.mkdir(exist_ok=True)
        (self._folder / "0001_more.py").write_text(f"def up(migrator, db):\n{body}")

        def load() -> plugins_module.Plugins:
            plugins = self._load()
            plugins.manager.register(self, "later")
            return plugins

        self._monkeypatch.setattr("eportal_core.cli.load", load)

    def goes(self) -> None:
        self._monkeypatch.setattr("eportal_core.cli.load", self._load)

    @hookimpl
    def eportal_migrations(self) -> Path:
        return self._folder


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Later:
    return Later(tmp_path / "migrations", monkeypatch)


def statement(kc: InProcess, sql: str) -> None:
    with closing(sqlite3.connect(kc.data_dir / db.FILE_NAME)) as database, database:
        database.execute(sql)


# A fresh directory


def test_any_command_makes_a_fresh_portal(kc: InProcess) -> None:
    assert not kc.data_dir.exists()
    assert [row["name"] for row in kc.json("feed")] == ["main"]
    assert kc.ok("migrate") == "The database is up to date\n"


@pytest.mark.parametrize("command", [["migrate"], ["migratedb", "--upgrade"]], ids=" ".join)
def test_migrating_is_idempotent(kc: InProcess, command: list[str]) -> None:
    assert kc.ok(*command) == "".join(f"core/{name} was applied\n" for name in CORE)
    kc.ok("key", "-a", "K")
    before = kc.world()
    for _ in range(2):
        assert kc.ok(*command) == "The database is up to date\n"
    assert kc.world() == before


def test_the_old_name_needs_its_old_option(kc: InProcess) -> None:
    assert "--upgrade" in kc.refused("migratedb", code=2)


def test_commands_that_meet_on_a_fresh_directory_all_work(cli: CommandLine) -> None:
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda number: cli("key", "-a", f"K{number}"), range(4)))
    assert [(run.returncode, run.stderr) for run in runs] == [(0, "")] * 4
    assert sorted(row["key"] for row in cli.json("key")) == ["K0", "K1", "K2", "K3"]


def test_a_first_start_that_was_cut_off_is_taken_up(kc: InProcess) -> None:
    """The history's table comes before the first migration, in a transaction of its own."""
    kc.data_dir.mkdir()
    statement(kc, "CREATE TABLE migration (id INTEGER PRIMARY KEY, name, applied)")
    assert [row["name"] for row in kc.json("feed")] == ["main"]


# Another version


@commands
def test_a_database_of_a_newer_version_is_refused(kc: InProcess, command: list[str]) -> None:
    kc.ok("feed")
    statement(kc, "INSERT INTO migration (name, applied) VALUES ('9999_future', '2030-01-01')")
    before = kc.world()
    for arguments in (command, ["migrate"], ["migratedb", "--upgrade"]):
        done = kc(*arguments)
        assert (done.code, done.out) == (1, "")
        assert done.err == (
            "kc.eportal: error: The database was made by a newer version or another set of "
            "plugins: it has core/9999_future, which is not installed here.\n"
        )
    assert kc.world() == before


@commands
def test_a_database_that_waits_for_a_migration_is_refused(
    kc: InProcess, later: Later, command: list[str]
) -> None:
    kc.ok("key", "-a", "before")
    later.comes()
    before = kc.world()
    done = kc(*command)
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "kc.eportal: error: The database waits for later/0001_more: stop the portal, make a "
        "backup, then run kc.eportal migrate.\n"
    )
    assert kc.world() == before


def test_migrating_applies_what_is_pending_and_keeps_what_was_there(
    kc: InProcess, later: Later
) -> None:
    kc.ok("key", "-a", "before")
    later.comes()
    assert kc.ok("migrate") == "later/0001_more was applied\n"
    assert kc.ok("migrate") == "The database is up to date\n"
    assert [row["key"] for row in kc.json("key")] == ["before"]
    statement(kc, "INSERT INTO more (id) VALUES (1)")


def test_a_migration_that_fails_changes_nothing(kc: InProcess, later: Later) -> None:
    kc.ok("key", "-a", "before")
    later.comes('    db.execute_sql("DELETE FROM key")\n    db.execute_sql("SELECT absent")\n')
    done = kc("migrate")
    assert (done.code, done.out) == (1, "")
    assert done.said == "The database cannot be used: no such column: absent."
    later.goes()
    assert [row["key"] for row in kc.json("key")] == ["before"]


def test_a_plugin_that_was_taken_away_leaves_its_tables(kc: InProcess, later: Later) -> None:
    later.comes()
    kc.ok("feed")
    later.goes()
    kc.ok("key", "-a", "K")
    later.comes()
    assert kc.ok("migrate") == "The database is up to date\n"


# What cannot be used at all


def test_a_file_that_is_no_database_is_refused(kc: InProcess) -> None:
    kc.data_dir.mkdir()
    (kc.data_dir / db.FILE_NAME).write_bytes(b"not a database" * 1000)
    for command in (["feed"], ["migrate"], ["key", "-a"]):
        done = kc(*command)
        assert (done.code, done.out) == (1, "")
        assert done.said == "The database cannot be used: file is not a database."


def test_a_damaged_database_is_refused(kc: InProcess) -> None:
    kc.ok("feed")
    path = kc.data_dir / db.FILE_NAME
    # Not the header, but every page of tables behind the first one.
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    done = kc("feed")
    assert (done.code, done.out) == (1, "")
    assert done.said == "The database cannot be used: database disk image is malformed."


def test_a_data_directory_that_cannot_be_is_refused(kc: InProcess) -> None:
    kc.data_dir.write_text("a file")
    for command in (["feed"], ["migrate"]):
        done = kc(*command)
        assert (done.code, done.out) == (1, "")
        assert done.said == f"The disk refused at {kc.data_dir}: File exists."


# Migrations against models


def described(table: str) -> Iterator[tuple[object, ...]]:
    """Columns (name, type, whether null, place in the primary key), foreign keys and indexes."""
    for column in db.database.execute_sql(f'PRAGMA table_info("{table}")'):
        _, name, kind, notnull, _, key = column
        yield "column", name, kind, bool(notnull), key
    for link in db.database.execute_sql(f'PRAGMA foreign_key_list("{table}")'):
        _, _, other, column, referred, *rules = link
        yield "link", column, other, referred, *rules
    for index in list(db.database.execute_sql(f'PRAGMA index_list("{table}")')):
        _, name, unique, *_ = index
        columns = db.database.execute_sql(f'PRAGMA index_info("{name}")')
        yield "index", unique, *(column for _, _, column in columns)
    ((sql,),) = db.database.execute_sql(
        "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)
    )
    yield "without rowid", "WITHOUT ROWID" in sql.upper()


def schema() -> dict[str, set[tuple[object, ...]]]:
    return {
        table: set(described(table))
        for table in db.database.get_tables()
        # The text index is no model's.
        if not table.startswith(("migration", "search"))
    }


def models(root: type[peewee.Model] = Table) -> Iterator[type[peewee.Model]]:
    for model in root.__subclasses__():
        if model._meta.table_name and not model.__subclasses__():
            yield model
        yield from models(model)


def test_migrations_make_what_the_models_expect(portal: Portal, data_dir: Path) -> None:
    migrated = schema()
    before = db.database.obj
    other = data_dir.with_name("models")
    other.mkdir()
    db.connect(other)
    with db.connection():
        db.database.create_tables(list(models()))
        modelled = schema()
    db.close()
    db.database.initialize(before)
    assert len(modelled) >= 10
    assert migrated == modelled


def test_every_migration_of_the_core_is_recorded_once(portal: Portal) -> None:
    recorded = [name for (name,) in db.database.execute_sql("SELECT name FROM migration")]
    assert recorded == CORE
