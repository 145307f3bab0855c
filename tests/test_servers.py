"""``kc.eportal server``: what it lists, removes and cleans."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from peewee import chunked

from eportal_core import db, jobs
from eportal_core.errors import InvalidValue, NotFound
from eportal_core.listening import Listening
from eportal_core.models import Change, Checkin, Facts, Identity, Server, now
from eportal_core.operations import keys, patchsets, servers
from eportal_core.portal import Portal
from eportal_core.types import Job
from tests.support.inprocess import InProcess
from tests.support.opening import opened
from tests.support.patches import KERNEL, WEB, archive
from tests.support.polling import eventually

#: PROTOCOL.md, section B.
DOCUMENTED_FIELDS = {
    *("ip", "hostname", "id", "key", "feed", "registered", "checkin", "updated", "euname"),
    *("release", "version", "machine", "processor", "virt", "uptime", "kernel_id"),
    *("patch_level", "patch_type", "tags", "kcare_version", "distro", "distro_version"),
    "patchset",
}
MICROSECONDS = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")

Register = Callable[..., str]


@pytest.fixture
def register(portal: Portal) -> Register:
    """Registers a server, maybe some time ago and heard of some time ago; returns its id."""
    keys.add(portal, "K")

    def server(
        hostname: str = "web1",
        registered: timedelta = timedelta(),
        checkin: timedelta | None = None,
    ) -> str:
        row = servers.register(portal, "K", hostname, "10.0.0.1")
        Server.update(registered=now() - registered).where(Server.id == row.id).execute()
        if checkin is not None:
            Checkin.update(time=now() - checkin).where(Checkin.server == row).execute()
        return row.id

    return server


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> InProcess:
    """A portal with a silent server, that tests share: each sees that it stays as it is."""
    made = InProcess(tmp_path_factory.mktemp("settled") / "var")
    portal = opened(made.data_dir)
    with db.connection():
        keys.add(portal, "K")
        servers.register(portal, "K", "web1", "10.0.0.1")
        Server.update(registered=now() - timedelta(days=100)).execute()
    db.close()
    return made


# Listing


def test_without_servers_the_lists_are_empty(kc: InProcess) -> None:
    assert kc.ok("server", "--json").split() == ["[]"]
    heading, line = kc.ok("server").splitlines()
    assert heading.startswith("Id | Hostname | IP | Key | Feed | Check-in")
    assert set(line) == set("- +")


def test_list_is_what_server_does_alone(register: Register, kc: InProcess) -> None:
    register()
    assert kc.ok("server") == kc.ok("server", "list")
    assert kc.ok("server", "--json") == kc.ok("server", "list", "--json")


def test_json_has_the_documented_fields(register: Register, kc: InProcess) -> None:
    server = register("web1")
    (row,) = kc.json("server")
    assert row.keys() == DOCUMENTED_FIELDS | {"clones"}
    known = {"id": server, "hostname": "web1", "ip": "10.0.0.1", "key": "K", "feed": "main"}
    assert known.items() <= row.items()
    assert row["clones"] == []
    unknown = DOCUMENTED_FIELDS - known.keys() - {"registered"}
    assert {row[name] for name in unknown} == {None}


def test_json_shows_what_the_agent_reported(
    portal: Portal, register: Register, kc: InProcess, tmp_path: Path
) -> None:
    patchsets.deploy(portal, KERNEL, archive(tmp_path, "K20250101_01", {WEB: 7}))
    server = register("web1")
    servers.set_tags(portal, server, "env:prod;ubuntu")
    reported = {
        "hostname": "renamed",
        "ip": "10.0.0.9",
        "kernel_id": WEB,
        "patch_level": 7,
        "patch_type": "default",
        "euname": "6.1.0-7",
        "release": "6.1.0-1",
        "version": "#1 SMP",
        "machine": "x86_64",
        "processor": "amd64",
        "virt": "kvm",
        "kcare_version": "2.44-2",
        "distro": "Debian",
        "distro_version": "12",
    }
    Facts.update(reported).where(Facts.server == server).execute()
    Checkin.update(time=now(), uptime=6394092).where(Checkin.server == server).execute()
    (row,) = kc.json("server")
    expected = {
        **reported,
        "uptime": 6394092,
        "tags": "env:prod;ubuntu",
        "patchset": "K20250101_01",
    }
    assert {name: row[name] for name in expected} == expected
    assert "renamed" in kc.ok("server")


def test_a_level_of_no_patchset_here_shows_none(register: Register, kc: InProcess) -> None:
    server = register()
    Facts.update(kernel_id=WEB, patch_level=7).where(Facts.server == server).execute()
    (row,) = kc.json("server")
    assert (row["patch_level"], row["patchset"]) == (7, None)


def test_times_always_have_microseconds(register: Register, kc: InProcess) -> None:
    server = register()
    moment = datetime(2026, 1, 2, 3, 4, 5, 0, UTC)
    Server.update(registered=moment).execute()
    Facts.update(updated=moment + timedelta(microseconds=1)).execute()
    Checkin.update(time=moment).where(Checkin.server == server).execute()
    (row,) = kc.json("server")
    assert row["registered"] == row["checkin"] == "2026-01-02 03:04:05.000000"
    assert row["updated"] == "2026-01-02 03:04:05.000001"


def test_registration_is_shown_in_utc(register: Register, kc: InProcess) -> None:
    register()
    (row,) = kc.json("server")
    assert MICROSECONDS.fullmatch(row["registered"])
    shown = datetime.strptime(row["registered"], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
    assert abs(now() - shown) < timedelta(minutes=1)


def test_servers_are_listed_in_order_of_registration(register: Register, kc: InProcess) -> None:
    for days, host in ((1, "second"), (0, "third"), (2, "first")):
        register(host, registered=timedelta(days=days))
    assert [row["hostname"] for row in kc.json("server")] == ["first", "second", "third"]


def test_machines_that_share_an_id_are_named(register: Register, kc: InProcess) -> None:
    server, other = register("web1"), register("db1")
    for host, returns in (("web1", 1), ("copy", 0)):
        Identity.create(
            server=server, hostname=host, first_seen=now(), last_seen=now(), returns=returns
        )
    # A machine that was renamed once is no clone.
    for host in ("db1", "db2"):
        Identity.create(server=other, hostname=host, first_seen=now(), last_seen=now())
    clones = {row["id"]: row["clones"] for row in kc.json("server")}
    assert clones == {server: ["copy", "web1"], other: []}
    assert "copy, web1" in kc.ok("server")


# Removing one


def test_delete_removes_one_server(register: Register, kc: InProcess) -> None:
    server, other = register("a"), register("b")
    assert kc.ok("server", "delete", server) == "1 server was deleted\n"
    assert [row["id"] for row in kc.json("server")] == [other]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["delete", "abcdefgh12345678"], 1, "There is no server with this id."),
        (["delete", ""], 1, "There is no server with this id."),
        (["delete", "a\0b"], 1, "There is no server with this id."),
        (["delete", "\udcff"], 1, "There is no server with this id."),
        (["delete", "a" * 10_000], 1, "There is no server with this id."),
        (["delete"], 2, "Missing argument"),
        (["clean"], 2, "Missing option '--inactive'"),
        (["clean", "--inactive", "now"], 2, "unexpected extra argument"),
        (["--json", "list"], 2, "argument --json: write it after list"),
        (["remove"], 2, "No such command 'remove'"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_refusals(settled: InProcess, arguments: list[str], code: int, sentence: str) -> None:
    assert sentence in settled.refused("server", *arguments, code=code)


@pytest.mark.parametrize(
    ("criteria", "removed"),
    [
        ({"hostname": "a"}, ["a"]),
        ({"ip": "10.0.0.1"}, ["a", "b"]),
        ({"hostname": "b", "ip": "10.0.0.1"}, ["b"]),
        ({"hostname": "b", "ip": "10.0.0.2"}, []),
        ({"hostname": "none"}, []),
    ],
)
def test_delete_by_what_is_known_of_them(
    portal: Portal, register: Register, criteria: dict[str, str], removed: list[str]
) -> None:
    ids = {host: register(host) for host in ("a", "b")}
    assert servers.delete(portal, **criteria) == len(removed)
    left = {server.id for server in Server.select()}
    assert left == {ids[host] for host in ids if host not in removed}


def test_delete_by_nothing_is_refused(portal: Portal, register: Register) -> None:
    register()
    with pytest.raises(InvalidValue):
        servers.delete(portal)
    assert Server.select().count() == 1


@pytest.mark.parametrize("tags", ["a\nb", "a\0b", "x" * 1001])
def test_tags_that_cannot_be_shown_are_refused(
    portal: Portal, register: Register, tags: str
) -> None:
    server = register()
    servers.set_tags(portal, server, "env:prod")
    with pytest.raises(InvalidValue):
        servers.set_tags(portal, server, tags)
    assert servers.get(server).tags == "env:prod"


def test_tags_lose_blanks_and_repetitions_and_go_when_empty(
    portal: Portal, register: Register
) -> None:
    server = register()
    assert servers.set_tags(portal, server, " env:prod ;ubuntu;;env:prod").tags == "env:prod;ubuntu"
    assert servers.set_tags(portal, server, "").tags is None
    with pytest.raises(NotFound):
        servers.set_tags(portal, "abcdefgh12345678", "x")


# Cleaning


@pytest.mark.parametrize(
    ("registered", "checkin", "gone"),
    [
        (timedelta(days=400), timedelta(days=29, hours=23), False),
        (timedelta(days=400), timedelta(days=30, hours=1), True),
        (timedelta(days=400), timedelta(), False),
        (timedelta(days=29, hours=23), None, False),
        (timedelta(days=30, hours=1), None, True),
    ],
)
def test_inactive_is_thirty_days_of_silence(
    register: Register,
    kc: InProcess,
    registered: timedelta,
    checkin: timedelta | None,
    gone: bool,
) -> None:
    register("it", registered, checkin)
    register("other", timedelta(days=400), timedelta(hours=1))
    told = "1 server was deleted\n" if gone else "0 servers were deleted\n"
    assert kc.ok("server", "clean", "--inactive") == told
    left = {row["hostname"] for row in kc.json("server")}
    assert left == ({"other"} if gone else {"it", "other"})


def test_the_age_of_inactive_servers_can_be_set(register: Register, kc: InProcess) -> None:
    register("quiet", checkin=timedelta(hours=3))
    register("here", checkin=timedelta(hours=1))
    clean = ("server", "clean", "--inactive")
    assert kc(*clean, EPORTAL_INACTIVE_SERVER_AGE="14400").out == "0 servers were deleted\n"
    assert kc(*clean, EPORTAL_INACTIVE_SERVER_AGE="7200").out == "1 server was deleted\n"
    assert [row["hostname"] for row in kc.json("server")] == ["here"]
    short = kc(*clean, EPORTAL_INACTIVE_SERVER_AGE="60")
    assert (short.code, short.out) == (2, "")
    assert "EPORTAL_INACTIVE_SERVER_AGE" in short.said


def test_cleaning_leaves_nothing_of_a_server(portal: Portal, register: Register) -> None:
    server = register("gone", timedelta(days=31))
    Identity.create(server=server, hostname="gone", first_seen=now(), last_seen=now())
    assert servers.clean_inactive(portal) == 1
    for table in (Server, Checkin, Facts, Identity):
        assert table.select().count() == 0


def test_more_servers_than_one_statement_takes(register: Register, kc: InProcess) -> None:
    register("stays")
    ids = [f"{number:016}" for number in range(1001)]
    long_ago = now() - timedelta(days=31)
    for batch in chunked(ids, 200):
        Server.insert_many(
            {"id": each, "key": "K", "hostname": "h", "registered": long_ago} for each in batch
        ).execute()
        Checkin.insert_many({"server": each} for each in batch).execute()
        Facts.insert_many({"server": each, "hostname": "h"} for each in batch).execute()
    assert kc.ok("server", "clean", "--inactive") == "1001 servers were deleted\n"
    assert [row["hostname"] for row in kc.json("server")] == ["stays"]
    assert Change.select().where(Change.table == "server", Change.row.is_null()).count() == 1001


# Cleaning by itself


CLEANING = "clean-inactive-servers"


def cleaning_job(portal: Portal) -> Job:
    (found,) = [job for job in jobs.all_jobs(portal) if job.name == CLEANING]
    return found


@pytest.fixture
def cleaning_portal(data_dir: Path) -> Iterator[Portal]:
    """A portal that cleans by itself, every minute."""
    portal = opened(data_dir, CLEAN_INACTIVE_SERVERS_PERIOD=60)
    with db.connection():
        yield portal
    db.close()


def test_inactive_servers_are_cleaned_every_period(
    cleaning_portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleaning = cleaning_job(cleaning_portal)
    assert (cleaning.period, cleaning.first) == (60, 60)
    monkeypatch.setattr(jobs, "HEARD_ALL", 0)
    keys.add(cleaning_portal, "K")
    here = servers.register(cleaning_portal, "K", "here", "10.0.0.1")

    def left_after_silence() -> bool:
        return [server.id for server in Server.select()] == [here.id]

    often = replace(cleaning, period=0.1, first=0)
    runner = jobs.JobRunner(cleaning_portal.config.data_dir / "jobs.lock", [often])
    runner.start()
    try:
        # Twice: the job comes again.
        for host in ("gone1", "gone2"):
            gone = servers.register(cleaning_portal, "K", host, "10.0.0.1")
            Server.update(registered=now() - timedelta(days=31)).where(
                Server.id == gone.id
            ).execute()
            eventually(left_after_silence)
    finally:
        runner.stop()
    removal = Change.select().where(Change.table == "server", Change.row.is_null()).get()
    assert (removal.actor, removal.means) == ("system", "job clean-inactive-servers")


def test_a_portal_that_was_off_for_weeks_cleans_nobody(cleaning_portal: Portal) -> None:
    keys.add(cleaning_portal, "K")
    server = servers.register(cleaning_portal, "K", "not-yet-heard", "10.0.0.1")
    Server.update(registered=now() - timedelta(days=31)).execute()
    cleaning = cleaning_job(cleaning_portal)
    assert "not listened long enough" in cleaning.run()
    assert [kept.id for kept in Server.select()] == [server.id]


def test_who_cleans_daily_need_not_run_for_a_day(data_dir: Path) -> None:
    portal = opened(data_dir, CLEAN_INACTIVE_SERVERS_PERIOD=86_400)
    cleaning = cleaning_job(portal)
    assert jobs.HEARD_ALL < cleaning.first < 6 * 3600


def test_listening_begins_anew_when_the_clock_jumps() -> None:
    clock, steady = [1_000_000.0], [0.0]
    listening = Listening(lambda: clock[0], lambda: steady[0])

    def pass_time(seconds: float, jump: float = 0) -> float:
        clock[0] += seconds + jump
        steady[0] += seconds
        return listening.seconds()

    assert pass_time(20_000) == 20_000
    assert pass_time(10, jump=40 * 86_400) == 0
    assert pass_time(300) == 300
    assert pass_time(300, jump=-86_400) == 0
    assert pass_time(100, jump=30) == 100


def test_servers_are_never_cleaned_unless_asked_for(portal: Portal) -> None:
    assert CLEANING not in {job.name for job in jobs.all_jobs(portal)}
