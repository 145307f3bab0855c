"""The user log: who changed what, from where and by which means; whether it is whole; its end."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import os
import pty
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from eportal_core import db, jobs, user_log
from eportal_core.models import Actor, Change, acting, now
from eportal_core.models.base import to_microseconds
from eportal_core.models.change import chained
from eportal_core.operations import feeds, keys, patchsets, users
from eportal_core.portal import Portal
from eportal_core.types import Job
from tests.support.api import Api
from tests.support.commands import CommandLine
from tests.support.inprocess import InProcess
from tests.support.opening import opened
from tests.support.patches import KERNEL, WEB, archive


def latest(kc: InProcess, **wanted: str) -> dict[str, Any]:
    options = [text for name, value in wanted.items() for text in (f"--{name}", value)]
    found: dict[str, Any] = kc.json("log", "--limit", "1", *options)[0]
    return found


# Who, from where, by which means


def test_a_command_tells_who_typed_it_and_from_where(kc: InProcess) -> None:
    kc.ok("key", "-a", "K", SUDO_USER="bob", SSH_CONNECTION="192.0.2.7 50000 192.0.2.1 22")
    entry = latest(kc)
    assert (entry["actor"], entry["source"], entry["means"]) == (
        "bob",
        "192.0.2.7",
        "command line",
    )
    assert (entry["action"], entry["table"], entry["key"]) == ("added", "key", "K")


def test_what_claims_to_be_an_address_and_is_none_is_not_told(kc: InProcess) -> None:
    kc.ok("key", "-a", "K", SSH_CONNECTION="\x1b[2J 1 2 3")
    assert "\x1b" not in latest(kc)["source"]


def test_a_terminal_is_told_when_there_is_no_address(cli: CommandLine) -> None:
    main, terminal = pty.openpty()
    name = os.ttyname(terminal).removeprefix("/dev/")
    environ = {n: v for n, v in cli.environ.items() if n != "SSH_CONNECTION"}
    subprocess.run(
        [cli.program, "key", "-a", "K"], env=environ, stdin=terminal, timeout=60, check=True
    )
    os.close(terminal)
    os.close(main)
    assert cli.json("log")[0]["source"] == name


def test_the_api_tells_password_and_api_key(portal: Portal, kc: InProcess) -> None:
    api = Api(portal)
    api.ok("POST", "/feeds?name=f")
    by_password = latest(kc)
    assert (by_password["actor"], by_password["source"]) == ("admin", "testclient")
    assert by_password["means"] == "password"
    token = api.ok("POST", "/api_keys?name=ci&write=true")["token"]
    api.ok("POST", "/feeds?name=f&deploy_after=5", auth=None, headers={"X-Api-Key": token})
    by_key = latest(kc)
    assert (by_key["actor"], by_key["means"]) == ("admin", "API key ci")
    assert (by_key["action"], by_key["changed"]) == ("changed", {"deploy_after": [0, 5]})


def test_an_agent_is_told_with_its_address(
    portal: Portal, agent: TestClient, kc: InProcess
) -> None:
    keys.add(portal, "K")
    answer = agent.post("/admin/api/register", data={"key": "K", "hostname": "web1"})
    server = answer.json()["server_id"]
    entry = latest(kc)
    assert (entry["actor"], entry["source"], entry["means"]) == (
        "agent",
        "testclient",
        "registration",
    )
    facts = {"tags": "env:prod"}
    agent.post("/admin/api/kcare/checkin", json=facts, auth=(server, ""))
    deadline = time.monotonic() + 10
    while latest(kc)["action"] != "changed" and time.monotonic() < deadline:
        time.sleep(0.02)
    entry = latest(kc)
    assert (entry["source"], entry["means"]) == ("testclient", "check-in")
    assert entry["changed"] == {"tags": [None, "env:prod"]}


def test_a_job_is_told_by_its_name(portal: Portal, kc: InProcess) -> None:
    def work() -> str:
        feeds.add(portal, "made")
        return ""

    jobs.run_job(Job("nightly", 60, work), portal.config.data_dir)
    entry = latest(kc)
    assert (entry["actor"], entry["means"]) == ("system", "job nightly")


# What changed


CHANGES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "feed": (
        ["feed", "-c", "--deploy-after", "5", "test"],
        {"table": "feed", "key": "test", "action": "changed", "changed": {"deploy_after": [0, 5]}},
    ),
    "key": (
        ["key", "-c", "K", "--product", "db"],
        {"table": "key", "key": "K", "action": "changed", "changed": {"products": [None, ["db"]]}},
    ),
    "user": (
        ["user", "-c", "-r", "readonly", "ann"],
        {
            "table": "user",
            "key": "ann",
            "action": "changed",
            "changed": {"readonly": [False, True]},
        },
    ),
    "password": (
        ["user", "-c", "-p", "another-word", "ann"],
        {
            "table": "user",
            "key": "ann",
            "action": "changed",
            "changed": {"password": [None, "changed"]},
        },
    ),
    "user gone": (["user", "-d", "ann"], {"table": "user", "key": "ann", "action": "removed"}),
    "api key": (["api-key", "-a", "--user", "ann", "ci"], {"table": "api_key", "action": "added"}),
    "patchset state": (
        ["kcare", "disable", "K20251119_03"],
        {
            "table": "feed_patchset",
            "key": "main/kernel/K20251119_03",
            "action": "changed",
        },
    ),
    "setting": (
        ["config", "set", "PATCH_SOURCE_URL", "http://patches.example.com"],
        {
            "table": "setting",
            "key": "PATCH_SOURCE_URL",
            "action": "added",
            "changed": {"value": [None, "'http://patches.example.com'"]},
        },
    ),
    "secret setting": (
        ["config", "set", "PATCH_SOURCE_PASSWORD", "s3cret"],
        {
            "table": "setting",
            "key": "PATCH_SOURCE_PASSWORD",
            "action": "added",
            "changed": {"value": [None, "********"]},
        },
    ),
}


@pytest.fixture
def settled(portal: Portal, kc: InProcess, tmp_path: Path) -> InProcess:
    feeds.add(portal, "test")
    keys.add(portal, "K")
    users.add(portal, "admin", "12345")
    users.add(portal, "ann", "12345")
    patchsets.deploy(portal, KERNEL, archive(tmp_path, "K20251119_03", {WEB: 1}))
    return kc


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_told_with_before_and_after(settled: InProcess, name: str) -> None:
    command, expected = CHANGES[name]
    settled.ok(*command)
    entry = latest(settled)
    assert {name: entry[name] for name in expected} == expected
    assert entry["means"] == "command line"


def test_a_deploy_is_told(portal: Portal, kc: InProcess, tmp_path: Path) -> None:
    kc.ok("kcare", "deploy", archive(tmp_path, "K20260101_01", {WEB: 1}))
    assert [(row["table"], row["action"]) for row in kc.json("log")[:2]] == [
        ("feed_patchset", "added"),
        ("patchset", "added"),
    ]


def test_settings_that_change_and_go_are_told(kc: InProcess) -> None:
    def told() -> tuple[str, Any]:
        entry = latest(kc, table="setting")
        return entry["action"], entry["changed"].get("value")

    kc.ok("config", "set", "PATCH_SOURCE_USER", "joe")
    kc.ok("config", "set", "PATCH_SOURCE_USER", "ann")
    assert told() == ("changed", ["'joe'", "'ann'"])
    kc.ok("config", "unset", "PATCH_SOURCE_USER")
    assert told() == ("removed", ["'ann'", None])
    kc.ok("config", "set", "PATCH_SOURCE_PASSWORD", "one")
    kc.ok("config", "set", "PATCH_SOURCE_PASSWORD", "two")
    assert told() == ("changed", ["********", "********, another one"])
    count = len(kc.json("log"))
    kc.ok("config", "set", "PATCH_SOURCE_PASSWORD", "two")
    kc.ok("config", "unset", "PATCH_SOURCE_USER")
    assert len(kc.json("log")) == count


def test_a_setting_that_the_disk_refuses_is_not_told(portal: Portal, kc: InProcess) -> None:
    kc.ok("config", "set", "PATCH_SOURCE_USER", "joe")
    count = len(kc.json("log"))
    folder = portal.config.data_dir / "config"
    (folder / "config.json.new").mkdir()
    assert kc("config", "set", "PATCH_SOURCE_USER", "ann").code != 0
    assert len(kc.json("log")) == count


def test_the_trust_in_a_source_is_told(kc: InProcess, tmp_path: Path) -> None:
    source = tmp_path / "source"
    kc.ok("source", "init", source)
    kc.ok("source", "trust", "--root", source / "metadata" / "1.root.json")
    entry = latest(kc)
    assert (entry["table"], entry["action"]) == ("patch_source", "added")
    assert len(entry["changed"]["fingerprint"][1]) == 64


# How it is shown


def test_filters(portal: Portal, kc: InProcess) -> None:
    for actor in ("ann", "bob"):
        with acting(Actor(actor)):
            feeds.add(portal, f"feed-{actor}")
            keys.add(portal, f"key-{actor}")

    def chosen(*options: str) -> list[str]:
        return [row["key"] for row in kc.json("log", *options)]

    assert chosen("--user", "ann") == ["key-ann", "feed-ann"]
    assert chosen("--table", "feed") == ["feed-bob", "feed-ann"]
    assert chosen("--key", "key-bob") == ["key-bob"]
    assert chosen("--user", "ann", "--table", "key") == ["key-ann"]
    assert chosen("--limit", "1") == ["key-bob"]
    assert len(chosen("--limit", "0")) == 4
    moment = Change.get(key="feed-bob").clock
    assert chosen("--since", moment.isoformat()) == ["key-bob", "feed-bob"]
    assert chosen("--until", moment.isoformat()) == ["key-ann", "feed-ann"]
    assert chosen("--since", "2000-01-01", "--until", "2000-01-02") == []
    assert "write a time as" in kc("log", "--since", "yesterday").err


def test_the_table_tells_it_in_a_line(portal: Portal, kc: InProcess) -> None:
    with acting(Actor("ann", "192.0.2.7", "password")):
        feeds.add(portal, "f")
        feeds.change(portal, "f", deploy_after=12)
    changed, added = kc.ok("log").splitlines()[2:4]
    parts = [cell.strip() for cell in changed.split(" | ")]
    assert parts[1:] == [
        "ann",
        "192.0.2.7",
        "password",
        "feed f changed",
        "deploy_after: 0 → 12",
    ]
    assert "feed f added" in added


def test_csv_is_read_by_programs_and_is_no_formula(portal: Portal, kc: InProcess) -> None:
    with acting(Actor('=HYPERLINK("x")', "@there", "password")):
        keys.add(portal, "K", note='a "quoted", note')
    (row,) = csv.DictReader(io.StringIO(kc.ok("log", "--csv")))
    assert row["actor"] == '\'=HYPERLINK("x")'
    assert row["source"] == "'@there"
    assert json.loads(row["changed"])["note"] == [None, 'a "quoted", note']


def test_pages_of_the_api_follow_one_another(portal: Portal) -> None:
    api = Api(portal)
    for number in range(7):
        keys.add(portal, f"K{number}")
    seen, before = [], ""
    while before is not None:
        page = api.ok("GET", f"/log?limit=3&table=key&before={before}")
        seen += [entry["key"] for entry in page["result"]]
        before = page["next"]
    assert seen == [f"K{number}" for number in reversed(range(7))]


# The chain


@pytest.fixture
def told(portal: Portal) -> Portal:
    for number in range(5):
        keys.add(portal, f"K{number}")
    return portal


EDITS: dict[str, tuple[str, int]] = {
    "who": ("UPDATE change SET actor = 'mallory' WHERE sequence = 3", 3),
    "when": ("UPDATE change SET clock = clock + 1 WHERE sequence = 3", 3),
    "what": ("UPDATE change SET row = replace(row, 'K2', 'K9') WHERE sequence = 3", 3),
    "before": ("UPDATE change SET before = '{}' WHERE sequence = 3", 3),
    "means": ("UPDATE change SET means = 'session' WHERE sequence = 1", 1),
    "removed": ("DELETE FROM change WHERE sequence = 3", 4),
    "the first removed": ("DELETE FROM change WHERE sequence = 1", 2),
    "swapped": (
        "UPDATE change SET sequence = CASE sequence WHEN 2 THEN -3 ELSE -2 END"
        " WHERE sequence IN (2, 3); UPDATE change SET sequence = -sequence WHERE sequence < 0",
        2,
    ),
    "inserted": (
        "INSERT INTO change"
        ' (sequence, node, clock, "table", key, row, actor, source, means, digest)'
        " VALUES (6, 'n', 1, 'key', 'K9', '{}', 'a', '', '', '')",
        6,
    ),
    "no digest": ("UPDATE change SET digest = '' WHERE sequence = 1", 2),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_shows(told: Portal, kc: InProcess, name: str) -> None:
    assert kc.ok("log", "verify").startswith("5 entries are whole\nThe last digest is ")
    statements, broken = EDITS[name]
    with closing(sqlite3.connect(kc.data_dir / db.FILE_NAME)) as database:
        database.executescript(statements)
    done = kc("log", "verify")
    assert done.code == 1
    assert f"Entry {broken} of the log is not what was written" in done.said


def test_a_tail_that_was_cut_off_shows_by_a_digest_noted_before(
    told: Portal, kc: InProcess
) -> None:
    digest = kc.ok("log", "verify").split()[-1]
    keys.add(told, "later")
    assert kc("log", "verify", "--expect", digest).code == 0
    Change.delete().where(Change.sequence >= 5).execute()
    assert kc("log", "verify").code == 0
    done = kc("log", "verify", "--expect", digest)
    assert done.code == 2
    assert "No entry of the log has this digest" in done.said


def test_entries_of_before_there_were_digests_are_counted(told: Portal) -> None:
    Change.update(digest="").execute()
    with db.database.atomic():
        keys.add(told, "new")
    found = user_log.verify()
    assert (found.older, found.entries, found.broken) == (5, 1, None)


def test_an_empty_log_is_whole(portal: Portal, kc: InProcess) -> None:
    assert kc.ok("log", "verify") == "0 entries are whole\nThe last digest is none\n"


def test_threads_keep_the_chain_whole(portal: Portal) -> None:
    def write(name: str) -> None:
        with db.connection():
            for number in range(25):
                keys.add(portal, f"{name}-{number}")

    threads = [threading.Thread(target=write, args=[f"t{each}"]) for each in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert user_log.verify() == user_log.Verified(
        150, 0, Change.select().order_by(Change.sequence.desc()).first().digest, None
    )


def test_processes_keep_the_chain_whole(data_dir: Path) -> None:
    opened(data_dir)
    db.close()
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_keys, args=[data_dir, each]) for each in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    opened(data_dir)
    with db.connection():
        found = user_log.verify()
    db.close()
    assert (found.entries, found.broken) == (100, None)


def write_keys(data_dir: Path, name: str) -> None:
    portal = opened(data_dir)
    with db.connection():
        for number in range(50):
            keys.add(portal, f"{name}{number}")


def test_what_is_not_in_a_transaction_is_not_recorded(portal: Portal) -> None:
    with pytest.raises(AssertionError, match="transaction"):
        keys.get(keys.add(portal, "K").key).drop()


# Its end


def age(sequences: range, days: float) -> None:
    """Make entries older, as if they had been written so."""
    moment = now() - timedelta(days=days)
    rows = list(Change.select().where(Change.sequence.in_(list(sequences))))
    for row in rows:
        Change.update(clock=moment).where(Change.sequence == row.sequence).execute()
    chain()


def chain() -> None:
    """Give every entry the digest that belongs to it."""
    last = ""
    for row in list(Change.select().order_by(Change.sequence).dicts()):
        last = chained(last, {**row, "clock": to_microseconds(row["clock"])})
        Change.update(digest=last).where(Change.sequence == row["sequence"]).execute()


def test_old_entries_go_and_the_chain_goes_on(told: Portal, kc: InProcess) -> None:
    age(range(1, 4), 100)
    digest = user_log.verify().head
    kc.ok("jobs", "run", "prune-log")
    assert Change.select().count() == 5
    kc.ok("config", "set", "USER_LOG_KEEP", "90")
    assert "3 entries were removed" in kc.ok("jobs", "run", "prune-log")
    left = [(row["table"], row["key"]) for row in kc.json("log", "--limit", "0")]
    assert left == [
        ("log", "pruned"),
        ("setting", "USER_LOG_KEEP"),
        ("key", "K4"),
        ("key", "K3"),
    ]
    keys.add(told, "after")
    assert user_log.verify(digest).broken is None
    Change.delete().where(Change.key == "K3").execute()
    assert user_log.verify().broken is not None


def test_all_of_it_may_go_and_numbers_are_not_given_again(told: Portal) -> None:
    """The agent process follows the numbers: an entry with one that it has seen, it would miss."""
    age(range(1, 6), 100)
    assert user_log.prune(90) == 5
    assert [row.sequence for row in Change.select()] == [6]
    keys.add(told, "after")
    assert user_log.verify().broken is None
    assert user_log.verify().entries == 2


def test_what_an_old_entry_of_a_wrong_clock_follows_stays(told: Portal) -> None:
    age(range(4, 5), 20_000)
    assert user_log.prune(90) == 0
    age(range(1, 3), 100)
    assert user_log.prune(90) == 2
    assert user_log.verify().broken is None


def test_a_clock_that_is_decades_ahead_takes_little(
    told: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_log, "_AT_ONCE_MIN", 1)
    monkeypatch.setattr(user_log, "now", lambda: now() + timedelta(days=20_000))
    assert user_log.prune(90) == 1
    assert user_log.verify().broken is None


def test_a_clock_that_was_set_back_takes_nothing(
    told: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_log, "now", lambda: now() - timedelta(days=20_000))
    assert user_log.prune(90) == 0


def test_the_least_that_is_kept_is_what_others_may_still_ask_for(kc: InProcess) -> None:
    done = kc("config", "set", "USER_LOG_KEEP", "7")
    assert done.code == 2
    assert "USER_LOG_KEEP" in done.said
