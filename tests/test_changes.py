"""The change log: every write is in it, with who did it; what was not done is not."""

from __future__ import annotations

import getpass
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import peewee
import pytest

from eportal_core import db
from eportal_core.errors import PortalError
from eportal_core.models import (
    Actor,
    ApiKey,
    Change,
    Checkin,
    Facts,
    Feed,
    FeedPatchset,
    Key,
    Offer,
    Patchset,
    Server,
    User,
    acting,
    now,
)
from eportal_core.models.change import RecordedTable
from eportal_core.operations import feeds, keys, offers, patchsets, servers
from eportal_core.portal import Portal
from eportal_core.source import layout
from tests.support.inprocess import InProcess
from tests.support.opening import opened
from tests.support.patches import DB, KERNEL, WEB, archive

OLD, MIDDLE, NEW = "K04082020_1", "K20250101_01", "K20251119_03"
#: A patchset that is not deployed, and one that never can be.
FRESH, BAD = "K20260101_01", "K20260102_01"
SERVER = "Webserver1234567"
RECORDED = (Feed, Key, Server, Patchset, FeedPatchset, Offer, User, ApiKey)

ALICE = Actor("alice", "10.1.2.3")


@dataclass(frozen=True)
class World:
    """A portal with a feed ``test``, keys ``K`` and ``L``, a server and three patchsets."""

    portal: Portal
    archives: Path

    def deploy(self, name: str, **options: Any) -> None:
        path = self.archives / f"{name}.tar.bz2"
        patchsets.deploy(self.portal, KERNEL, path, **options)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a portal's data directory ``var``, closed, and the archives beside it."""
    folder = tmp_path_factory.mktemp("world")
    for level, name in enumerate((OLD, MIDDLE, NEW, FRESH), 1):
        archive(folder, name, {WEB: level})
    # Level 3 of the same target, with other bytes.
    archive(folder, BAD, {WEB: 3, DB: 1}, size=5000)
    portal = opened(folder / "var")
    with db.connection():
        feeds.add(portal, "test")
        keys.add(portal, "K", feed="test")
        keys.add(portal, "L", server_limit=1)
        for name in (OLD, MIDDLE, NEW):
            World(portal, folder).deploy(name)
        patchsets.disable(portal, KERNEL, OLD, "test")
        patchsets.enable(portal, KERNEL, NEW, "test")
        with db.database.atomic():
            Server.new(id=SERVER, key="K", hostname="web1", registered=now() - timedelta(days=31))
            Checkin.create(server=SERVER)
            Facts.create(server=SERVER, hostname="web1")
    db.close()
    return folder


@pytest.fixture
def data_dir(template: Path, tmp_path: Path) -> Path:
    """The template's, copied: what a test does to it no other test sees."""
    return shutil.copytree(template / "var", tmp_path / "var")


@pytest.fixture
def world(portal: Portal, template: Path) -> World:
    return World(portal, template)


def offer(name: str, state: str = "available") -> layout.Offer:
    return layout.Offer(
        product="kernel",
        name=name,
        archive=f"kernel/{name}.tar.bz2",
        size=1,
        sha256="0" * 64,
        meta=f"kernel/{name}.meta.json",
        meta_size=1,
        meta_sha256="0" * 64,
        released="",
        channels=("default",),
        distros=(),
        state=state,
    )


def offered_then_withdrawn(world: World) -> None:
    offers.store(world.portal, [offer(FRESH)])
    offers.store(world.portal, [])


#: name -> what is done, and table and key of the rows that it writes; ``-`` before a table: a
#: tombstone.
OPERATIONS: dict[str, tuple[Callable[[World], object], list[tuple[str, str]]]] = {
    "add feed": (lambda w: feeds.add(w.portal, "new", auto=True), [("feed", "new")]),
    "change feed": (lambda w: feeds.change(w.portal, "test", auto=True), [("feed", "test")]),
    "remove feed": (
        lambda w: feeds.remove(w.portal, "test"),
        [
            ("key", "K"),
            ("-feed_patchset", f"test/kernel/{OLD}"),
            ("-feed_patchset", f"test/kernel/{NEW}"),
            ("-feed", "test"),
        ],
    ),
    "add key": (lambda w: keys.add(w.portal, "new"), [("key", "new")]),
    "change key": (lambda w: keys.change(w.portal, "K", note="x"), [("key", "K")]),
    "remove key": (lambda w: keys.remove(w.portal, "K"), [("-server", SERVER), ("-key", "K")]),
    "tag server": (lambda w: servers.set_tags(w.portal, SERVER, "a;b"), [("server", SERVER)]),
    "unregister server": (
        lambda w: servers.unregister(w.portal, SERVER),
        [("-server", SERVER)],
    ),
    "delete server": (
        lambda w: servers.delete(w.portal, hostname="web1"),
        [("-server", SERVER)],
    ),
    "clean servers": (
        lambda w: servers.clean_inactive(w.portal),
        [("-server", SERVER)],
    ),
    "deploy": (
        lambda w: w.deploy(FRESH, feed="test"),
        [("patchset", f"kernel/{FRESH}"), ("feed_patchset", f"test/kernel/{FRESH}")],
    ),
    "deploy disabled": (
        lambda w: w.deploy(FRESH, enable=False),
        [("patchset", f"kernel/{FRESH}"), ("feed_patchset", f"main/kernel/{FRESH}")],
    ),
    "deploy again": (lambda w: w.deploy(NEW), []),
    "enable": (
        lambda w: patchsets.enable(w.portal, KERNEL, OLD, "test"),
        [("feed_patchset", f"test/kernel/{OLD}")],
    ),
    "enable what is enabled": (lambda w: patchsets.enable(w.portal, KERNEL, NEW, "test"), []),
    "disable": (
        lambda w: patchsets.disable(w.portal, KERNEL, NEW, "main"),
        [("feed_patchset", f"main/kernel/{NEW}")],
    ),
    "enable up to": (
        lambda w: patchsets.enable_upto(w.portal, KERNEL, NEW, "test"),
        [("feed_patchset", f"test/kernel/{MIDDLE}")],
    ),
    "undeploy down to": (
        lambda w: patchsets.undeploy_downto(w.portal, KERNEL, MIDDLE, "main"),
        [
            ("-feed_patchset", f"main/kernel/{NEW}"),
            ("-feed_patchset", f"main/kernel/{MIDDLE}"),
        ],
    ),
    "unroll": (
        lambda w: patchsets.unroll(w.portal, KERNEL, NEW),
        [("-feed_patchset", f"{feed}/kernel/{NEW}") for feed in ("main", "test")],
    ),
    "unroll and delete": (
        lambda w: patchsets.unroll(w.portal, KERNEL, NEW, delete=True),
        [
            ("-feed_patchset", f"main/kernel/{NEW}"),
            ("-feed_patchset", f"test/kernel/{NEW}"),
            ("-patchset", f"kernel/{NEW}"),
        ],
    ),
    "store offers": (
        lambda w: offers.store(w.portal, [offer(NEW), offer(FRESH)]),
        [("offer", f"kernel/{NEW}"), ("offer", f"kernel/{FRESH}")],
    ),
    "withdraw an offer": (offered_then_withdrawn, [("offer", f"kernel/{FRESH}")] * 2),
    "block": (
        lambda w: offers.store(w.portal, [offer(NEW, "blocked")]),
        [
            ("offer", f"kernel/{NEW}"),
            ("feed_patchset", f"main/kernel/{NEW}"),
            ("feed_patchset", f"test/kernel/{NEW}"),
        ],
    ),
    "clean releases": (
        lambda w: patchsets.clean(w.portal, KERNEL, dry_run=False),
        [
            ("-feed_patchset", f"main/kernel/{OLD}"),
            ("-feed_patchset", f"test/kernel/{OLD}"),
            ("-patchset", f"kernel/{OLD}"),
            ("-feed_patchset", f"main/kernel/{MIDDLE}"),
            ("-patchset", f"kernel/{MIDDLE}"),
        ],
    ),
}
operations = pytest.mark.parametrize("name", OPERATIONS)

REFUSED: dict[str, Callable[[World], object]] = {
    "add feed that is there": lambda w: feeds.add(w.portal, "test"),
    "add feed of bad name": lambda w: feeds.add(w.portal, "a/b"),
    "make main automatic": lambda w: feeds.change(w.portal, "main", auto=True),
    "change feed badly": lambda w: feeds.change(w.portal, "test", auto=True, deploy_after=-1),
    "remove main": lambda w: feeds.remove(w.portal, "main"),
    "add key that is there": lambda w: keys.add(w.portal, "K"),
    "add key to no feed": lambda w: keys.add(w.portal, "new", feed="none"),
    "change key badly": lambda w: keys.change(w.portal, "K", feed="main", server_limit=-1),
    "remove no key": lambda w: keys.remove(w.portal, "none"),
    "register with no key": lambda w: servers.register(w.portal, "none", "web2", ""),
    "register no host": lambda w: servers.register(w.portal, "K", "web 2", ""),
    "unregister nobody": lambda w: servers.unregister(w.portal, "none"),
    "tag badly": lambda w: servers.set_tags(w.portal, SERVER, "a\nb"),
    "deploy bad archive": lambda w: w.deploy(BAD),
    "deploy to no feed": lambda w: w.deploy(FRESH, feed="none"),
    "enable in no feed": lambda w: patchsets.enable_upto(w.portal, KERNEL, NEW, "none"),
    "disable nothing": lambda w: patchsets.disable(w.portal, KERNEL, FRESH, "main"),
    "unroll nothing": lambda w: patchsets.unroll(w.portal, KERNEL, FRESH, delete=True),
}


def written_after(sequence: int) -> list[Change]:
    return list(Change.select().where(Change.sequence > sequence).order_by(Change.sequence))


def last_sequence() -> int:
    return Change.select(peewee.fn.MAX(Change.sequence)).scalar()


def shorthand(change: Change) -> tuple[str, str]:
    return ("-" if change.row is None else "") + change.table, change.key


def tables() -> dict[str, list[tuple[Any, ...]]]:
    """Every recorded table as the database holds it, column by column."""
    return {
        table._meta.table_name: sorted(
            db.database.execute_sql(f'SELECT * FROM "{table._meta.table_name}"'), key=repr
        )
        for table in RECORDED
    }


@operations
def test_an_operation_records_what_it_writes_and_who_did_it(world: World, name: str) -> None:
    operation, rows = OPERATIONS[name]
    before = last_sequence()
    with acting(ALICE):
        operation(world)
    written = written_after(before)
    assert [shorthand(change) for change in written] == rows
    for change in written:
        assert (change.actor, change.source) == ("alice", "10.1.2.3")
        assert abs(now() - change.clock) < timedelta(minutes=1)
        assert change.node == (world.portal.config.data_dir / "instance-id").read_text().strip()
    # The agent process and, later, replicas know the tables from the log alone.
    assert retold() == held()


@pytest.mark.parametrize("name", [name for name, (_, rows) in OPERATIONS.items() if rows])
def test_what_cannot_be_recorded_is_not_done(world: World, name: str, kc: InProcess) -> None:
    """The last row is refused by the log: what was written before it is taken back."""
    operation, rows = OPERATIONS[name]
    last = rows[-1][0].removeprefix("-")
    before, files = tables(), kc.world()[1]
    db.database.execute_sql(
        f"CREATE TEMP TRIGGER refuse BEFORE INSERT ON change WHEN new.\"table\" = '{last}'"
        " BEGIN SELECT RAISE(ABORT, 'the log is full'); END"
    )
    with pytest.raises(peewee.IntegrityError, match="the log is full"):
        operation(world)
    assert tables() == before
    assert kc.world()[1] == files


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_operation_records_nothing(world: World, name: str) -> None:
    before, sequence = tables(), last_sequence()
    with acting(ALICE), pytest.raises(PortalError):
        REFUSED[name](world)
    assert written_after(sequence) == []
    assert tables() == before


# What the tests compare


def retold() -> dict[tuple[str, str], dict[str, Any]]:
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for change in written_after(0):
        if change.row is None:
            del rows[change.table, change.key]
        else:
            rows[change.table, change.key] = json.loads(change.row)
    return rows


def held() -> dict[tuple[str, str], dict[str, Any]]:
    rows = {}
    for table in RECORDED:
        for row in table.select():
            # Made by the migration, in every portal alike.
            if row == Feed(name="main"):
                continue
            values = {
                f.column_name: f.db_value(row.__data__[f.name]) for f in table._meta.sorted_fields
            }
            rows[table._meta.table_name, row.change_key()] = values
    return rows


# Who


def test_a_registration_is_recorded(world: World) -> None:
    before = last_sequence()
    with acting(Actor("agent", "10.0.0.7")):
        server = servers.register(world.portal, "L", "web2", "10.0.0.7")
    (change,) = written_after(before)
    assert shorthand(change) == ("server", server.id)
    assert json.loads(change.row)["hostname"] == "web2"
    assert (change.actor, change.source) == ("agent", "10.0.0.7")


def test_the_command_line_names_who_typed(world: World, kc: InProcess) -> None:
    before = last_sequence()
    kc.ok("key", "-a", "typed")
    kc.ok("key", "-a", "sudo", SUDO_USER="bob")
    typed, sudo = written_after(before)
    assert (typed.actor, typed.means) == (getpass.getuser(), "command line")
    assert (sudo.actor, sudo.means) == ("bob", "command line")


def test_listings_record_nothing(world: World, kc: InProcess) -> None:
    before = kc.world()
    for command in ("feed", "key", "server", "--list-servers"):
        kc.ok(command)
    kc.ok("kcare", "list")
    kc.ok("kcare", "verify")
    assert kc("--clean-releases", DRY_RUN="1").code == 0
    assert kc.world() == before


# Secrets


def test_no_recorded_table_has_a_secret() -> None:
    """The log is shown to administrators and sent to other nodes."""
    assert set(RecordedTable.__subclasses__()) == set(RECORDED)
    columns = [
        column for table in RECORDED for column in table._meta.columns if column not in table.SECRET
    ]
    secret = re.compile("passw|secret|token|private|salt|session|digest")
    assert not [column for column in columns if secret.search(column)]
