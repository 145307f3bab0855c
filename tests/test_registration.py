"""Registration in every form that agents send it, and what it answers."""

from __future__ import annotations

import re
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import pytest
from starlette.testclient import TestClient

from eportal_core import queries
from eportal_core.agent.memory import Memory
from eportal_core.errors import DatabaseError
from eportal_core.models import Change
from eportal_core.operations import keys
from eportal_core.portal import Portal
from tests.support.agents import basic, check_in, register, shown
from tests.support.patches import WEB
from tests.support.polling import eventually
from tests.support.serving import Served
from tests.support.wire import connect, reply, request

API = "/admin/api/kcare"
SERVER_ID = re.compile(r"[A-Za-z0-9]{16}")
#: Boundary and form of ``curl -F key=K1 -F hostname=web1``.
CURL_BOUNDARY = "------------------------d74496d66958873e"
CURL_FORM = (
    f"--{CURL_BOUNDARY}\r\n"
    'Content-Disposition: form-data; name="key"\r\n\r\nK1\r\n'
    f"--{CURL_BOUNDARY}\r\n"
    'Content-Disposition: form-data; name="hostname"\r\n\r\nweb1\r\n'
    f"--{CURL_BOUNDARY}--\r\n"
)
#: A hundred agents, and how many of them a key has places for.
CROWD = 100


@pytest.fixture
def key(portal: Portal) -> str:
    return keys.add(portal, "K1").key


class TestForms:
    """The same registration, whichever way its arguments come."""

    @pytest.mark.parametrize(
        "sent",
        [
            {"params": {"key": "K1", "hostname": "web1"}},
            {"data": {"key": "K1", "hostname": "web1"}},
            {"json": {"key": "K1", "hostname": "web1"}},
            {"params": {"key": "K1"}, "data": {"hostname": "web1"}},
            {"params": {"key": "K1"}, "json": {"hostname": "web1"}},
            {
                "content": CURL_FORM,
                "headers": {"Content-Type": f"multipart/form-data; boundary={CURL_BOUNDARY}"},
            },
            {
                "params": {"key": "K1", "hostname": "web1"},
                "headers": {"Content-Type": "application/json"},
            },
            {
                "params": {"key": "K1", "hostname": "web1"},
                "content": b"null",
                "headers": {"Content-Type": "application/json"},
            },
            {
                "params": {"key": "K1", "hostname": "web1"},
                "content": b" {} ",
                "headers": {"Content-Type": "application/json; charset=utf-8"},
            },
        ],
        ids=[
            "query",
            "urlencoded",
            "json",
            "query and form",
            "query and json",
            "multipart of curl",
            "json type, empty body",
            "json null",
            "json {}",
        ],
    )
    def test_arguments(self, agent: TestClient, key: str, sent: dict[str, Any]) -> None:
        paths = ("/admin/api/register", "/admin/api/register/", f"{API}/register_server.json")
        for path in paths:
            answer = agent.post(path, **sent)

            assert answer.status_code == 200, answer.text
            row = list(queries.servers())[-1]
            assert (row["hostname"], row["key"], row["feed"]) == ("web1", key, "main")
            assert row["id"] in answer.text

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_json_answer(self, agent: TestClient, key: str, method: str) -> None:
        answer = agent.request(
            method, f"{API}/register_server.json", params={"key": key, "hostname": "web1"}
        )

        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        server = answer.json()["data"]["server_id"]
        assert SERVER_ID.fullmatch(server)
        assert answer.json() == {
            "message": None,
            "type": None,
            "success": True,
            "data": {"server_id": server, "code": 0},
        }

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_plain_answer(self, agent: TestClient, key: str, method: str) -> None:
        answer = agent.request(
            method, f"{API}/register_server.plain", params={"key": key, "hostname": "web1"}
        )

        assert answer.headers["content-type"].startswith("text/plain")
        (row,) = queries.servers()
        assert answer.text == f"code:0\nserver_id:{row['id']}\n"

    def test_register_answer(self, agent: TestClient, key: str) -> None:
        answer = agent.post("/admin/api/register", data={"key": key, "hostname": "web1"})

        (row,) = queries.servers()
        assert answer.json() == {"server_id": row["id"]}

    def test_without_a_host_name_the_address_is_the_name(self, agent: TestClient, key: str) -> None:
        agent.post("/admin/api/register", data={"key": key})

        (row,) = queries.servers()
        assert row["hostname"] == row["ip"] == "testclient"

    def test_every_registration_is_another_server(self, agent: TestClient, key: str) -> None:
        assert register(agent, key) != register(agent, key)

    def test_counts_although_the_change_log_cannot_be_read(
        self, agent: TestClient, key: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def follow(memory: Memory, *, unless_within: float = 0) -> None:
            raise DatabaseError("The database cannot be used.")

        with monkeypatch.context() as broken:
            broken.setattr(Memory, "follow", follow)
            server = register(agent, key)

        assert shown(server)["hostname"] == "web1"
        eventually(lambda: check_in(agent, server).status_code == 404)


class TestRefusals:
    """Who may not register gets the documented code, and leaves no server behind."""

    @pytest.mark.parametrize(
        ("sent", "code", "error"),
        [
            ("", 2, "invalid-key"),
            ("nobody", 2, "invalid-key"),
            ("K1\n", 2, "invalid-key"),
            ("k1", 2, "invalid-key"),
            ("locked", 1, "account-locked"),
            ("full", 3, "key-limit-reached"),
        ],
    )
    def test_codes(
        self, portal: Portal, agent: TestClient, key: str, sent: str, code: int, error: str
    ) -> None:
        keys.add(portal, "locked")
        keys.change(portal, "locked", enabled=False)
        keys.add(portal, "full", server_limit=1)
        register(agent, "full")
        arguments = {"key": sent, "hostname": "web2"}

        as_json = agent.get(f"{API}/register_server.json", params=arguments)
        as_plain = agent.get(f"{API}/register_server.plain", params=arguments)
        as_api = agent.post("/admin/api/register", data=arguments)

        assert as_json.status_code == as_plain.status_code == 200
        assert as_json.json()["data"] == {"code": code}
        assert as_json.json()["message"]
        assert as_plain.text == f"code:{code}\n"
        assert as_api.status_code == 400
        assert as_api.json()["error"] == error
        assert [row["hostname"] for row in queries.servers()] == ["web1"]

    def test_no_key_at_all(self, agent: TestClient) -> None:
        assert agent.get(f"{API}/register_server.plain").text == "code:2\n"

    def test_bad_host_names(self, agent: TestClient, key: str) -> None:
        names = ("a b", "-a", "a\x00b", "ä", "a/b", "a" * 10_000, "\n", "web1\n")
        paths = ("/admin/api/register", f"{API}/register_server.json")
        for hostname, path in product(names, paths):
            answer = agent.post(path, data={"key": key, "hostname": hostname})

            assert answer.status_code == 400
            assert answer.json()["error"] == "invalid-value"
            assert len(answer.text) < 500
        assert list(queries.servers()) == []

    def test_a_place_is_free_again_after_unregistering(
        self, portal: Portal, agent: TestClient
    ) -> None:
        keys.add(portal, "one", server_limit=1)
        server = register(agent, "one")
        agent.get(f"{API}/unregister_server.plain", params={"server_id": server})

        register(agent, "one", "web2")

        assert [row["hostname"] for row in queries.servers()] == ["web2"]


class TestOtherCalls:
    """check, unregister_server and tag_server."""

    def test_check(self, agent: TestClient, key: str) -> None:
        server = register(agent, key)

        answer = agent.get(f"{API}/check.json", params={"server_id": server})

        assert answer.json() == {
            "message": None,
            "type": None,
            "success": True,
            "data": {"server_id": server, "code": 0},
        }

    def test_check_of_a_disabled_key(self, portal: Portal, agent: TestClient, key: str) -> None:
        server = register(agent, key)
        keys.change(portal, key, enabled=False)

        answer = agent.get(f"{API}/check.json", params={"server_id": server})

        assert answer.json()["data"] == {"code": 1}

    def test_unknown_server(self, agent: TestClient) -> None:
        calls = ("check", "unregister_server", "tag_server")
        for call, server in product(calls, ("", "nobody", "a" * 10_000, "🐧")):
            answer = agent.post(f"{API}/{call}.json", data={"server_id": server, "tag": "x"})
            assert answer.status_code == 200
            assert answer.json()["data"]["code"] == 4
        assert agent.get(f"{API}/check.plain").text == "code:4\n"

    @pytest.mark.parametrize("method", ["GET", "POST"])
    @pytest.mark.parametrize(
        ("form", "body"),
        [("plain", "code:0\n"), ("json", '{"message":null,"type":null,"success":true,')],
    )
    def test_unregister(
        self, agent: TestClient, key: str, method: str, form: str, body: str
    ) -> None:
        server = register(agent, key)

        answer = agent.request(
            method, f"{API}/unregister_server.{form}", params={"server_id": server}
        )

        assert answer.text.startswith(body)
        assert list(queries.servers()) == []
        assert agent.get(f"/{WEB}/latest.v1", headers=basic(server)).status_code == 401

    def test_tags(self, agent: TestClient, key: str) -> None:
        server = register(agent, key)
        tag = f"{API}/tag_server"

        agent.get(f"{tag}.json", params={"server_id": server, "tag": "env:prod; ubuntu;ubuntu;"})
        assert shown(server)["tags"] == "env:prod;ubuntu"
        answer = agent.post(f"{tag}.plain", data={"server_id": server, "tag": "b"})
        assert answer.text == "code:0\ntags:b\n"
        agent.get(f"{tag}.plain", params={"server_id": server})
        assert shown(server)["tags"] is None

    def test_bad_tags(self, agent: TestClient, key: str) -> None:
        server = register(agent, key)

        for tags in ("a" * 1001, "a\nb", "\u202egnp", "\x1b[31m", "a\0b"):
            answer = agent.post(f"{API}/tag_server.json", data={"server_id": server, "tag": tags})
            assert answer.status_code == 400
            assert shown(server)["tags"] is None

    def test_the_change_log_names_the_agent_and_its_address(
        self, agent: TestClient, key: str
    ) -> None:
        server = register(agent, key)

        change = Change.get(table="server", key=server)
        assert (change.actor, change.source) == ("agent", "testclient")


def test_a_hundred_agents_on_the_last_places(served: Served) -> None:
    for limit in (1, 5):
        key = served.cli.ok("key", "-a", "--server-limit", limit).strip()

        answers = _all_at_once(served.url, key)

        assert Counter(answers) == {"0": limit, "3": CROWD - limit}
        rows = [row for row in served.cli.json("server") if row["key"] == key]
        assert len(rows) == limit


def _all_at_once(url: str, key: str) -> list[str]:
    """Register ``CROWD`` agents in one moment; the code that each was told."""
    ready = threading.Barrier(CROWD)

    def agent(number: int) -> str:
        path = f"{API}/register_server.plain?key={key}&hostname=web{number}"
        with connect(url, seconds=60) as sock:
            ready.wait(timeout=60)
            sock.sendall(request(path))
            body = reply(sock).body.decode()
        return body.splitlines()[0].removeprefix("code:")

    with ThreadPoolExecutor(CROWD) as crowd:
        return list(crowd.map(agent, range(CROWD)))


def test_head_registers_nobody(agent: TestClient, portal: Portal) -> None:
    keys.add(portal, "k")
    answer = agent.head("/admin/api/kcare/register_server.json?key=k&hostname=web1")
    assert not answer.is_success
    assert list(queries.servers()) == []
