"""The check-in: what level a server is told, and what is kept of what it tells."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.testclient import TestClient

from eportal_core import PatchsetPlugin, PatchsetSpec, Product, db, hookimpl, queries
from eportal_core.agent.app import agent_app
from eportal_core.agent.memory import KeyEntry, Memory
from eportal_core.agent.writer import Raw, Writer
from eportal_core.models import Key
from eportal_core.operations import feeds, keys, patchsets, servers
from eportal_core.plugins import load
from eportal_core.portal import Portal
from eportal_core.types import Event
from tests.support.agents import basic, check_in, encoded, register, shown, stored
from tests.support.opening import opened
from tests.support.patches import DB, KERNEL, WEB, archive, kernel_id
from tests.support.polling import eventually
from tests.support.processes import children, is_running
from tests.support.serving import Served, serving

FIRST, SECOND = "K20260101_01", "K20260201_01"
#: How old an answer may be that another process has changed, seconds.
SOON = 1.0
FACTS = {
    "hostname": "web1.example.com",
    "patch_level": 1,
    "patch_type": "kernel",
    "euname": "6.1.0-1",
    "release": "6.1.0",
    "version": "#1 SMP Debian",
    "machine": "x86_64",
    "processor": "AMD EPYC",
    "virt": "kvm",
    "kcare_version": "2.90",
    "distro": "debian",
    "distro_version": "12",
    "tags": "env:prod;ubuntu",
    "uptime": 86400,
}


@pytest.fixture
def fleet(portal: Portal, tmp_path: Path) -> Portal:
    """Two patchsets in ``main``, the older one also in ``slow``; a key for each."""
    feeds.add(portal, "slow")
    patchsets.deploy(portal, KERNEL, archive(tmp_path, FIRST, {WEB: 1, DB: 7}))
    patchsets.deploy(portal, KERNEL, archive(tmp_path, SECOND, {WEB: 2}))
    patchsets.enable(portal, KERNEL, FIRST, "slow")
    keys.add(portal, "K1")
    keys.add(portal, "K2", feed="slow")
    return portal


class TestLevels:
    @pytest.mark.parametrize("form", ["latest.v1", "latest.v2"])
    def test_digits_without_newline(self, fleet: Portal, agent: TestClient, form: str) -> None:
        server = register(agent, "K1")

        answer = agent.get(f"/{WEB}/{form}", headers=basic(server))

        assert (answer.status_code, answer.content) == (200, b"2")
        assert answer.headers["content-type"] == "text/plain"
        assert answer.headers["content-length"] == "1"

    def test_head(self, fleet: Portal, agent: TestClient) -> None:
        server = register(agent, "K1")

        answer = agent.head(f"/{WEB}/latest.v1", headers=basic(server))

        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-length"] == "1"

    def test_the_feed_of_the_key(self, fleet: Portal, agent: TestClient) -> None:
        assert check_in(agent, register(agent, "K1")).text == "2"
        assert check_in(agent, register(agent, "K2")).text == "1"

    def test_a_target_that_the_newer_patchset_does_not_have(
        self, fleet: Portal, agent: TestClient
    ) -> None:
        assert check_in(agent, register(agent, "K1"), DB).text == "7"

    def test_the_feed_in_the_path_wins(self, fleet: Portal, agent: TestClient) -> None:
        server = register(agent, "K2")

        assert check_in(agent, server, feed="main").text == "2"
        assert check_in(agent, server, feed="slow").text == "1"

    def test_an_unknown_feed(self, fleet: Portal, agent: TestClient) -> None:
        assert check_in(agent, register(agent, "K1"), feed="nosuch").status_code == 404

    def test_a_kernel_nobody_patches(self, fleet: Portal, agent: TestClient) -> None:
        server = register(agent, "K1")

        for target in (kernel_id("other"), "x", "0" * 5000, "%00"):
            answer = check_in(agent, server, target)
            assert answer.status_code == 404
            assert answer.text == "There are no patches for this kernel.\n"

    def test_an_unknown_id(self, fleet: Portal, agent: TestClient) -> None:
        answer = agent.get(f"/{WEB}/latest.v1", headers=basic("nobody"))

        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Basic realm="ePortal"'

    def test_a_disabled_key(self, fleet: Portal, agent: TestClient) -> None:
        server = register(agent, "K1")
        keys.change(fleet, "K1", enabled=False)

        eventually(lambda: check_in(agent, server).status_code == 403, SOON)
        keys.change(fleet, "K1", enabled=True)
        eventually(lambda: check_in(agent, server).text == "2", SOON)

    def test_a_scanner_is_told_and_not_counted(self, fleet: Portal, agent: TestClient) -> None:
        register(agent, "K1")

        answer = agent.get(f"/{WEB}/latest.v1?info={encoded(FACTS)}")

        assert (answer.status_code, answer.text) == (200, "2")
        stored(agent, register(agent, "K1", "web2"))
        first, _ = queries.servers()
        assert first["checkin"] is None

    def test_a_scanner_may_name_a_feed(self, fleet: Portal, agent: TestClient) -> None:
        assert agent.get(f"/slow/{WEB}/latest.v1").text == "1"


class TestProducts:
    """A key has the products it names; another product's patchsets change no kernel's level."""

    @pytest.fixture
    def other(self, data_dir: Path) -> Iterator[Portal]:
        plugins = load()
        product = Product(name="other", command="other", title="Other", default=False)
        plugin = PatchsetPlugin(PatchsetSpec(product, r"O\d{8}_\d+", tree="other-resources"))
        plugins.manager.register(plugin, "other")
        portal = opened(data_dir, plugins, CHECKIN_FLUSH_PERIOD=0.02)
        with db.connection():
            yield portal
        db.close()

    def test_a_product_the_key_lacks(self, other: Portal, tmp_path: Path) -> None:
        patchsets.deploy(other, KERNEL, archive(tmp_path, FIRST, {WEB: 1}))
        keys.add(other, "K1", products=["other"])
        with TestClient(agent_app(other)) as agent:
            server = register(agent, "K1")

            answer = check_in(agent, server)
            assert answer.status_code == 403
            assert answer.text == "The key of this server does not have this product.\n"
            file = agent.get(f"/{WEB}/1/kpatch.bin", headers=basic(server))
            assert file.status_code == 403
            body = agent.post("/admin/api/kcare/checkin", json=FACTS, headers=basic(server))
            assert (body.status_code, body.json()["error"]) == (403, "no-product")

            keys.change(other, "K1", products=["kernel", "other"])
            eventually(lambda: check_in(agent, server).text == "1", SOON)


class TestFacts:
    def test_all_are_shown(self, fleet: Portal, agent: TestClient) -> None:
        server = register(agent, "K1")

        row = stored(agent, server, **FACTS)

        assert row | FACTS == row
        assert row["kernel_id"] == WEB
        assert row["patchset"] == FIRST
        assert row["ip"] == "testclient"
        assert row["updated"] == row["checkin"]

    def test_within_the_flush_period(self, fleet: Portal, agent: TestClient) -> None:
        server = register(agent, "K1")
        before = time.monotonic()

        stored(agent, server, **FACTS)

        assert time.monotonic() - before < SOON

    def test_the_last_one_wins(self, fleet: Portal, agent: TestClient) -> None:
        server = register(agent, "K1")
        for number in range(20):
            check_in(agent, server, release=f"6.1.{number}", uptime=number)

        def row() -> dict[str, Any]:
            return shown(server)

        eventually(lambda: (row()["release"], row()["uptime"]) == ("6.1.19", 19))

    def test_absent_facts_keep_the_old_value(self, fleet: Portal, agent: TestClient) -> None:
        server = register(agent, "K1")
        first = stored(agent, server, **FACTS)

        without = stored(agent, server)
        partly = stored(agent, server, release="6.2.0")

        assert without | {"checkin": None} == first | {"checkin": None}
        assert partly | {"checkin": None} == first | {"checkin": None, "release": "6.2.0"}

    def test_a_check_in_without_facts_is_one(self, fleet: Portal, agent: TestClient) -> None:
        row = stored(agent, register(agent, "K1"))

        assert row["checkin"] is not None
        assert row["kernel_id"] == WEB
        assert row["updated"] is None

    def test_an_empty_text_replaces_the_old_one(self, fleet: Portal, agent: TestClient) -> None:
        server = register(agent, "K1")
        stored(agent, server, tags="a", distro="debian")
        stored(agent, server)

        row = stored(agent, server, tags="", distro="")

        assert (row["tags"], row["distro"]) == (None, "")

    def test_updated_moves_with_the_level_alone(self, fleet: Portal, agent: TestClient) -> None:
        server = register(agent, "K1")
        first = stored(agent, server, **FACTS)

        same = stored(agent, server, **{**FACTS, "release": "6.2.0"})
        without = stored(agent, server, release="6.3.0")
        assert same["updated"] == without["updated"] == first["updated"]

        newer = stored(agent, server, patch_level=2)
        assert newer["updated"] == newer["checkin"]
        assert newer["patchset"] == SECOND
        older = stored(agent, server, patch_level=0)
        assert older["updated"] == older["checkin"]

    def test_tags_of_the_operator_stay_until_the_agent_has_others(
        self, fleet: Portal, agent: TestClient
    ) -> None:
        server = register(agent, "K1")
        stored(agent, server, tags="a")
        servers.set_tags(fleet, server, "b")

        assert stored(agent, server, tags="a")["tags"] == "b"
        assert stored(agent, server, tags="c")["tags"] == "c"

    def test_tags_are_announced_once_and_when_they_are_committed(
        self, fleet: Portal, agent: TestClient
    ) -> None:
        heard: list[tuple[str, bool]] = []

        class Listener:
            @hookimpl
            def eportal_event(self, event: Event) -> None:
                if event.kind == "server.tagged":
                    heard.append((event.subject, bool(db.database.in_transaction())))

        fleet.plugins.manager.register(Listener(), "listener")
        server = register(agent, "K1")

        stored(agent, server, tags="a")
        eventually(lambda: heard == [(server, False)])
        stored(agent, server, tags="a", hostname="other")
        servers.set_tags(fleet, server, "a")
        servers.set_tags(fleet, server, "b")

        assert heard == [(server, False)] * 2

    def test_another_kernel(self, fleet: Portal, agent: TestClient) -> None:
        server = register(agent, "K1")
        stored(agent, server, **FACTS)

        row = stored(agent, server, DB, patch_level=7)

        assert (row["kernel_id"], row["patchset"]) == (DB, FIRST)

    def test_an_unsupported_kernel_checks_in_too(self, fleet: Portal, agent: TestClient) -> None:
        unknown = kernel_id("unknown")

        row = stored(agent, register(agent, "K1"), unknown, hostname="web9")

        assert (row["kernel_id"], row["hostname"], row["patchset"]) == (unknown, "web9", None)

    def test_what_is_no_kernel_id_is_not_kept(self, fleet: Portal, agent: TestClient) -> None:
        server = register(agent, "K1")
        stored(agent, server)

        for target in ("%00", "a%0Ab", "%1B[31m", "x" * 5000, "%E2%80%AE", "%2e%2e"):
            row = stored(agent, server, target, hostname="web9")
            assert (row["kernel_id"], row["hostname"]) == (WEB, "web9")

    def test_of_a_refused_server_nothing_is_kept(self, fleet: Portal, agent: TestClient) -> None:
        server = register(agent, "K1")
        keys.change(fleet, "K1", enabled=False)
        eventually(lambda: check_in(agent, server).status_code == 403, SOON)

        check_in(agent, server, hostname="evil")
        stored(agent, register(agent, "K2"))

        assert shown(server)["hostname"] == "web1"

    def test_a_server_that_went_meanwhile(self, fleet: Portal, agent: TestClient) -> None:
        gone, other = register(agent, "K1"), register(agent, "K2")
        with db.database.atomic():
            check_in(agent, gone, hostname="gone", tags="x")
            servers.unregister(fleet, gone)

        stored(agent, other)

        assert [row["id"] for row in queries.servers()] == [other]


class TestBody:
    """``POST /admin/api/kcare/checkin``: the same facts as a JSON body."""

    PATH = "/admin/api/kcare/checkin"

    def test_facts(self, fleet: Portal, agent: TestClient) -> None:
        server = register(agent, "K1")

        answer = agent.post(self.PATH, params={"kernel_id": WEB}, json=FACTS, headers=basic(server))

        assert (answer.status_code, answer.json()) == (200, {"result": "ok"})
        row = eventually(lambda: shown(server) if shown(server)["checkin"] else None)
        assert row is not None
        assert row | FACTS == row
        assert row["kernel_id"] == WEB

    def test_without_facts(self, fleet: Portal, agent: TestClient) -> None:
        server = register(agent, "K1")
        first = row = stored(agent, server, **FACTS)

        for body in (b"", b"{}", b"null", b"[]", b"{", b"\xff"):
            last = row["checkin"]
            agent.post(self.PATH, content=body, headers=basic(server))
            eventually(lambda last=last: shown(server)["checkin"] != last)
            row = shown(server)
            assert row | {"checkin": None} == first | {"checkin": None}

    def test_refusals(self, fleet: Portal, agent: TestClient) -> None:
        server = register(agent, "K1")

        unknown = agent.post(self.PATH, json=FACTS, headers=basic("nobody"))
        assert (unknown.status_code, unknown.json()["error"]) == (401, "unknown-server")
        assert unknown.headers["WWW-Authenticate"] == 'Basic realm="ePortal"'
        assert agent.post(self.PATH, json=FACTS).status_code == 401
        long = agent.post(self.PATH, content=b" " * 20_000, headers=basic(server))
        assert long.status_code == 400
        keys.change(fleet, "K1", enabled=False)
        eventually(
            lambda: agent.post(self.PATH, json=FACTS, headers=basic(server)).status_code == 403,
            SOON,
        )


class TestTrouble:
    """A database that does not answer stops neither check-ins nor the process."""

    def test_a_locked_database(self, fleet: Portal, agent: TestClient) -> None:
        server = register(agent, "K1")
        with db.database.atomic():
            assert check_in(agent, server, hostname="late").text == "2"
            assert agent.get("/healthz").text == "ok\n"

        eventually(lambda: shown(server)["hostname"] == "late")

    def test_an_unknown_id_while_the_database_fails(self, fleet: Portal, agent: TestClient) -> None:
        server = register(agent, "K1")
        db.database.execute_sql("ALTER TABLE change RENAME TO gone")

        eventually(lambda: check_in(agent, "nobody").status_code == 503)
        body = agent.post(TestBody.PATH, json={}, headers=basic("nobody"))
        assert (body.status_code, body.json()["error"]) == (503, "database")
        assert check_in(agent, server).text == "2"


def test_a_server_that_came_while_the_maps_were_filled(
    fleet: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    came: list[str] = []
    real = Memory._entry

    def entry(memory: Memory, key: Key) -> KeyEntry:
        if not came:
            came.append("")
            with ThreadPoolExecutor(1) as other:
                other.submit(arrive).result()
        return real(memory, key)

    def arrive() -> None:
        with db.connection():
            keys.add(fleet, "K9")
            came[0] = servers.register(fleet, "K9", "web9", "10.0.0.9").id

    monkeypatch.setattr(Memory, "_entry", entry)
    memory = Memory(fleet)

    memory.load()

    found = memory.find(came[0].encode())
    assert found is not None
    assert found.feed == "main"


def test_check_ins_over_the_limit_are_counted(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    portal = opened(data_dir, CHECKIN_QUEUE_LIMIT=2)
    writer = Writer(portal)
    for number in range(5):
        writer.put(Raw(b"server%d" % number, 0.0, "127.0.0.1", WEB, b""))

    writer.start()
    writer.stop()

    (line,) = [record.getMessage() for record in caplog.records if "dropped" in record.msg]
    assert line.startswith("3 check-ins were dropped")


def test_changes_of_other_processes_are_seen_within_a_second(
    served: Served, tmp_path: Path
) -> None:
    cli = served.cli
    key = cli.ok("key", "-a").strip()
    server = served.register(key)

    def answer() -> tuple[int, str]:
        got = requests.get(f"{served.url}/{WEB}/latest.v1", headers=basic(server), timeout=10)
        return got.status_code, got.text if got.ok else ""

    def soon(*expected: object) -> None:
        eventually(lambda: answer() == expected, SOON)

    cli.ok("kcare", "deploy", archive(tmp_path, FIRST, {WEB: 1}))
    soon(200, "1")
    cli.ok("kcare", "deploy", archive(tmp_path, SECOND, {WEB: 2}))
    soon(200, "2")
    cli.ok("kcare", "disable", SECOND)
    soon(200, "1")
    cli.ok("kcare", "enable", SECOND)
    soon(200, "2")
    cli.ok("kcare", "unroll", SECOND, "--delete")
    soon(200, "1")
    cli.ok("feed", "-a", "empty")
    cli.ok("key", "-c", key, "--feed", "empty")
    soon(404, "")
    cli.ok("feed", "-d", "empty")
    soon(200, "1")
    cli.ok("key", "-c", key, "--disable")
    soon(403, "")
    cli.ok("key", "-c", key, "--enable")
    soon(200, "1")
    cli.ok("server", "delete", server)
    soon(401, "")


def test_sigterm_stores_what_waits(data_dir: Path) -> None:
    with serving(data_dir, CHECKIN_FLUSH_PERIOD="3600") as served:
        halves = children(served.process.pid)
        server = served.register(served.cli.ok("key", "-a").strip())
        url = f"{served.url}/{WEB}/latest.v1?info={encoded(FACTS)}"
        assert requests.get(url, headers=basic(server), timeout=10).status_code == 404
        (row,) = served.cli.json("server")
        assert row["checkin"] is None

        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(timeout=30) == 0
        assert not any(map(is_running, halves.values()))
        assert "Traceback" not in served.log.read_text()

        (row,) = served.cli.json("server")
        assert row["checkin"] is not None
        assert row | FACTS == row


def test_kill_loses_no_registration(data_dir: Path) -> None:
    with serving(data_dir) as served:
        key = served.cli.ok("key", "-a").strip()
        halves = children(served.process.pid)
        answered = [served.register(key, f"web{number}") for number in range(20)]

        for pid in (served.process.pid, *halves.values()):
            os.kill(pid, signal.SIGKILL)
        served.process.wait(timeout=30)
        eventually(lambda: not any(map(is_running, halves.values())))

        kept = {row["id"] for row in served.cli.json("server")}
    assert set(answered) <= kept
