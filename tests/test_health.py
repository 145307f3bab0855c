"""Is the portal alive, can it serve, and does it end as a whole when a part of it does."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import requests
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from eportal_core import db
from eportal_core.agent.memory import Memory
from eportal_core.errors import DatabaseError, InvalidValue
from eportal_core.operations import feeds, keys
from eportal_core.portal import Portal
from eportal_core.web.errors import HANDLERS
from eportal_core.web.health import health_routes
from tests.support.agents import check_in, register, shown
from tests.support.commands import CommandLine
from tests.support.polling import eventually
from tests.support.processes import children, is_running
from tests.support.serving import Served, free_ports, serving


@contextmanager
def without_table(data_dir: Path, table: str) -> Iterator[None]:
    """Another connection takes a table away, and gives it back."""
    with closing(sqlite3.connect(data_dir / db.FILE_NAME, timeout=30)) as other:
        other.execute("PRAGMA legacy_alter_table = on")
        other.execute(f"ALTER TABLE {table} RENAME TO gone")
        yield
        other.execute(f"ALTER TABLE gone RENAME TO {table}")


def test_a_database_of_somebody_else_says_who_may_write_it(portal: Portal) -> None:
    whose = f"Run this as the user to whom {portal.config.data_dir}/"
    db.database.execute_sql("PRAGMA query_only = on")
    with pytest.raises(DatabaseError) as caught, db.connection():
        feeds.add(portal, "test")
    assert whose in caught.value.in_full
    assert str(portal.config.data_dir) not in str(caught.value)


def test_who_asks_is_not_told_where_the_database_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    db.connect(tmp_path / "gone")

    def listing(request: Request) -> Response:
        with db.connection():
            return Response()

    routes = [*health_routes(lambda: ""), Route("/listing", listing)]
    with TestClient(Starlette(routes=routes, exception_handlers=HANDLERS)) as client:
        for path in ("/readyz", "/listing"):
            answer = client.get(path)
            assert answer.status_code == 503
            assert "The database cannot be used: unable to open database file." in answer.text
            assert str(tmp_path) not in answer.text
    assert f"Run this as the user to whom {tmp_path}/" in caplog.text


class TestProbes:
    def test_well(self, agent: TestClient) -> None:
        for path in ("/healthz", "/readyz"):
            answer = agent.get(path)
            assert (answer.status_code, answer.text) == (200, "ok\n")

    def test_check_ins_that_cannot_be_stored(
        self, portal: Portal, agent: TestClient, data_dir: Path
    ) -> None:
        server = register(agent, keys.add(portal, "K1").key)
        with without_table(data_dir, "checkin"):
            check_in(agent, server, hostname="late")
            eventually(lambda: agent.get("/readyz").status_code == 503)
            assert agent.get("/readyz").text.startswith("The database cannot be used")
            assert agent.get("/healthz").status_code == 200

        eventually(lambda: agent.get("/readyz").text == "ok\n")
        assert shown(server)["hostname"] == "late"

    def test_a_change_log_that_cannot_be_read(self, agent: TestClient, data_dir: Path) -> None:
        with without_table(data_dir, "change"):
            eventually(lambda: agent.get("/readyz").status_code == 503)
            assert agent.get("/readyz").text.startswith("The database cannot be used")

        eventually(lambda: agent.get("/readyz").text == "ok\n")

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_a_change_log_that_nobody_reads_any_more(
        self, agent: TestClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Memory, "follow", lambda memory: 1 / 0)

        eventually(lambda: agent.get("/readyz").status_code == 503)

        assert agent.get("/readyz").text == "The change log is not read any more.\n"

    def test_alive_while_every_thread_waits_for_the_database(
        self, portal: Portal, agent: TestClient
    ) -> None:
        key = keys.add(portal, "K1").key
        crowd = [threading.Thread(target=register, args=(agent, key)) for _ in range(60)]
        with db.database.atomic():
            for each in crowd:
                each.start()
            # The first ones wait in the forty threads, the others for a thread.
            eventually(lambda: db.database.obj._in_use and len(db.database.obj._in_use) >= 40)

            assert agent.get("/healthz").text == "ok\n"
        for each in crowd:
            each.join()

    def test_a_transaction_waits_for_another_process(self, portal: Portal) -> None:
        (milliseconds,) = db.database.execute_sql("PRAGMA busy_timeout").fetchone()

        assert milliseconds == 30_000

    def test_a_damaged_database_is_one_sentence(self, cli: CommandLine, data_dir: Path) -> None:
        cli.ok("server")
        (data_dir / db.FILE_NAME).write_bytes(b"not a database, " * 1000)

        done = cli("serve", "--only", "agent")

        assert done.returncode == 1
        (line,) = (done.stdout + done.stderr).splitlines()
        assert "The database cannot be used" in line


class TestAdminSide:
    def test_is_reached_through_the_agents_port(self, served: Served) -> None:
        for path in ("/healthz", "/readyz"):
            assert requests.get(served.url + path, timeout=10).text == "ok\n"
        page = requests.get(f"{served.url}/admin", timeout=10)
        assert page.status_code == 200
        assert "Total number of servers" in page.text
        assert requests.get(f"{served.url}/admin/nosuch", timeout=10).status_code == 404

    def test_no_feed_takes_its_paths(self, portal: Portal) -> None:
        with pytest.raises(InvalidValue, match="cannot be named admin"):
            feeds.add(portal, "admin")

    def test_is_absent(self, data_dir: Path) -> None:
        with serving(data_dir, "--only", "agent") as served:
            for path in ("/admin/", "/admin/users/1/edit", "/admin/x/version"):
                answer = requests.get(served.url + path, timeout=10)
                assert (answer.status_code, answer.text) == (
                    503,
                    "The admin side is not running.\n",
                )
            assert requests.get(f"{served.url}/readyz", timeout=10).text == "ok\n"


class TestEnd:
    @pytest.mark.parametrize("busy", ["PORT", "ADMIN_PORT"])
    def test_an_occupied_port(self, data_dir: Path, busy: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            first, second = map(str, free_ports(2))
            settings = {"PORT": first, "ADMIN_PORT": second, busy: str(port)}

            done = CommandLine(data_dir, settings)("serve")

        assert done.returncode == 1
        assert done.stderr.splitlines() == [
            f"kc.eportal: error: The portal cannot listen on 127.0.0.1 port {port}: "
            "Address already in use."
        ]

    @pytest.mark.parametrize("half", ["agent", "admin"])
    def test_half_of_it_killed(self, data_dir: Path, half: str) -> None:
        with serving(data_dir) as served:
            halves = children(served.process.pid)
            assert halves.keys() == {"agent", "admin"}

            os.kill(halves[half], signal.SIGKILL)

            assert served.process.wait(timeout=30) == 1
            assert not any(map(is_running, halves.values()))
            assert f"The {half} process ended by itself" in served.log.read_text()

    def test_the_parent_killed(self, data_dir: Path) -> None:
        with serving(data_dir) as served:
            halves = children(served.process.pid)

            served.process.kill()
            served.process.wait(timeout=30)

            eventually(lambda: not any(map(is_running, halves.values())), 30)
        assert "Traceback" not in served.log.read_text()
