"""What a broken or hostile agent sends: refused or ignored, and never in the way of others."""

from __future__ import annotations

import base64
import json
import logging
import random
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from eportal_core import db, queries
from eportal_core.agent import facts
from eportal_core.agent.facts import NOTHING, Reported
from eportal_core.agent.memory import Memory
from eportal_core.agent.writer import Raw, Writer
from eportal_core.errors import DatabaseError
from eportal_core.operations import keys, patchsets
from eportal_core.portal import Portal
from eportal_core.web.errors import HANDLERS
from tests.support.agents import basic, check_in, encoded, register, shown, stored
from tests.support.commands import CommandLine
from tests.support.patches import KERNEL, WEB, archive
from tests.support.polling import eventually
from tests.support.processes import children, is_running
from tests.support.serving import Served, serving
from tests.support.wire import connect, exchange, reply, request

API = "/admin/api/kcare"
CHECKIN = f"{API}/checkin"
TEXTS = ("hostname", "patch_type", "euname", "release", "version", "machine", "processor", "virt")
TEXTS += ("kcare_version", "distro", "distro_version", "tags")
NUMBERS = ("patch_level", "uptime")
#: Texts that no fact may be.
BAD_TEXTS = {
    "NUL": "a\0b",
    "newline": "a\nb",
    "escape": "\x1b[31mred",
    "C1 control": "\x9b31mred",
    "right to left": "\u202egpj.exe",
    "zero width": "a\u200bb",
    "line separator": "a\u2028b",
    "private use": "\ue000",
    "too long": "a" * 10_000,
}
#: Infinity is none of JSON's words.
NO_JSON = [1e400]
BAD_VALUES = [True, 1.5, -1, 10**16, 10**400, [], ["a"], {}, {"a": 1}, *NO_JSON]


@pytest.fixture
def fleet(portal: Portal, tmp_path: Path) -> Portal:
    patchsets.deploy(portal, KERNEL, archive(tmp_path, "K20260101_01", {WEB: 1}))
    keys.add(portal, "K1")
    return portal


@pytest.fixture
def server(fleet: Portal, agent: TestClient) -> Iterator[str]:
    """The id that the hostile agent has; afterwards another one is served and shown as ever."""
    yield register(agent, "K1", "evil")
    assert agent.get("/readyz").text == "ok\n"
    row = stored(agent, register(agent, "K1", "good"), hostname="good.example.com")
    assert row["hostname"] == "good.example.com"
    for row in queries.servers():
        assert all(value.isprintable() for value in row.values() if isinstance(value, str)), row


def token(user: bytes) -> bytes:
    return base64.b64encode(user + b":any")


#: Values of ``Authorization`` that name no server.
BROKEN_CREDENTIALS = [
    b"",
    b" ",
    b"Basic",
    b"Basic ",
    b"Basic :",
    b"Basic =",
    b"Basic ====",
    b"Basic A",
    b"Basic !!!",
    b"Basic \xff\xfe\xfd",
    "Basic ключ".encode(),
    b"Bearer " + token(b"x"),
    b"Digest username=x",
    b"\xff " + token(b"x"),
    b"Basic " + token(b""),
    b"Basic " + token(b"\xff\xfe"),
    b"Basic " + token(b"\0"),
    b"Basic " + token("ключ".encode()),
    b"Basic " + token(b"' OR 1=1 --"),
    b"Basic " + token(b"x" * 1_000_000),
    b"Basic " + b"A" * 1_000_001,
    b"x" * 1_000_000,
]

#: Bodies that register nobody.
BROKEN_JSON = [
    b"{",
    b"[]",
    b'"a"',
    b"1",
    b"NaN",
    b"\xff",
    b'{"key": "K1", "hostname": "\\ud800"}',
    b'{"key": "K1", "hostname": "a\\u0000b"}',
    b'{"key": "K1", "hostname": 1e999}',
    b'{"key": true, "hostname": "web"}',
    b'{"key": ["K1"], "hostname": "web"}',
    b'{"key": {"$ne": ""}, "hostname": "web"}',
    b'{"key": null, "hostname": "web"}',
    b"[" * 30_000,
    b'{"a":' * 10_000,
    b'{"key": "K1", "hostname": "' + b"a" * 10_000 + b'"}',
    b'{"key": "' + b"K" * 60_000 + b'", "hostname": "web"}',
]
BROKEN_FORMS = [
    ("multipart/form-data", b"--x"),
    ("multipart/form-data; boundary=", b"--x"),
    ("multipart/form-data; boundary=x", b"nothing of that kind"),
    ("multipart/form-data; boundary=x", b"--x\r\n"),
    ("multipart/form-data; boundary=x", b"--x\r\n\r\n\r\n--x--\r\n"),
    ("multipart/form-data; boundary=" + "x" * 5000, b"--" + b"x" * 5000),
    ("multipart/form-data; boundary=x; charset=rot13", b"--x--\r\n"),
    ("multipart/form-data; boundary=\xff", b"--\xff--\r\n"),
    (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="key"; filename="k"\r\n\r\nK1\r\n--x--\r\n',
    ),
    (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="k"\r\n\r\nv\r\n' * 101 + b"--x--\r\n",
    ),
    (
        "multipart/form-data; boundary=x",
        b"--x\r\n" + b"A: b\r\n" * 5000 + b"\r\n\r\n--x--\r\n",
    ),
    ("application/x-www-form-urlencoded", b"a=b&" * 101),
    ("application/x-www-form-urlencoded", b"key=K1&hostname=a%00b"),
    ("application/x-www-form-urlencoded", b"key=K1&hostname=%ED%A0%80"),
    ("application/x-www-form-urlencoded", b"key=K1&hostname=%ff"),
    ("application/x-www-form-urlencoded", b"key=K1&hostname=" + b"a" * 10_000),
    ("application/x-www-form-urlencoded", b"\0\xff=&;%%%"),
    ("text/plain", b"key=K1&hostname=web"),
    ("", b"key=K1&hostname=web"),
]


class TestCredentials:
    def test_of_every_broken_kind(self, agent: TestClient, server: str) -> None:
        for value in BROKEN_CREDENTIALS:
            answers = [
                agent.request(method, path, headers={"Authorization": value})
                for method, path in (
                    ("GET", f"/{WEB}/latest.v1"),
                    ("GET", f"/{WEB}/1/kpatch.bin"),
                    ("GET", f"/{WEB}/1/kpatch.info"),
                    ("POST", CHECKIN),
                )
            ]
            assert {answer.status_code for answer in answers} == {401}, value[:100]

    def test_nearly_the_right_id(self, agent: TestClient, server: str) -> None:
        for near in (server + "\n", server + "\0", server.swapcase(), server[:-1], f" {server}"):
            assert check_in(agent, near).status_code == 401

    def test_what_is_left_out_does_no_harm(self, agent: TestClient, server: str) -> None:
        for user in (server.encode(), server.encode() + b":", server.encode() + b":a:b\xff"):
            value = b"bAsIc " + base64.b64encode(user)
            answer = agent.get(f"/{WEB}/latest.v1", headers={"Authorization": value})
            assert answer.text == "1"

    def test_a_flood_of_unknown_ids_reads_the_change_log_once(
        self, portal: Portal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        memory = Memory(portal)
        memory.load()
        looks = []
        real = db.rows
        monkeypatch.setattr(db, "rows", lambda query: looks.append(1) or real(query))
        monkeypatch.setattr("eportal_core.agent.memory.MISS_PERIOD", 5)

        with ThreadPoolExecutor(40) as flood:
            for _ in range(400):
                flood.submit(memory.follow_after_miss)

        assert len(looks) == 1


class TestFacts:
    """The reader alone: whatever comes, what it returns can be stored and shown."""

    @pytest.mark.parametrize("name", TEXTS)
    @pytest.mark.parametrize("kind", BAD_TEXTS)
    def test_bad_texts_are_ignored(self, name: str, kind: str) -> None:
        read = facts.read_json(json.dumps({name: BAD_TEXTS[kind], "uptime": 5}).encode())

        assert read == Reported(uptime=5)

    @pytest.mark.parametrize("name", TEXTS + NUMBERS)
    def test_wrong_types_are_ignored(self, name: str) -> None:
        for value in BAD_VALUES:
            other = "virt" if name != "virt" else "distro"
            read = facts.read_json(json.dumps({name: value, other: "kvm"}).encode())
            good = value not in NO_JSON
            assert read == (Reported(**{other: "kvm"}) if good else NOTHING), value

    @pytest.mark.parametrize("value", ["5", "", "1e3", "0x10", None])
    def test_numbers_are_numbers(self, value: object) -> None:
        assert facts.read_json(json.dumps({"patch_level": value}).encode()) == NOTHING

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b" ",
            b"null",
            b"true",
            b"17",
            b'"a"',
            b"[]",
            b"{",
            b"{}}",
            b"{'a': 1}",
            b'{"uptime": NaN}',
            b'{"uptime": Infinity}',
            b'{"hostname": "\\ud800"}',
            b'{"hostname": "\\udc00\\ud800"}',
            b'{"hostname": "\xff"}',
            b'{"hostname": "a\nb"}',
            b'{"hostname": "\\u0000"}',
            b'{"\\ud800": 1}',
            b'\xef\xbb\xbf{"uptime": 5}',
            '{"uptime": 5}'.encode("utf-16"),
            b'{"uptime": ' + b"9" * 10_000 + b"}",
            b"[" * 10_000,
            b'{"a":' * 5_000,
            b'{"hostname":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
            b'{"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        ],
        ids=lambda data: repr(data[:30]),
    )
    def test_what_is_no_object_of_facts(self, data: bytes) -> None:
        assert facts.read_json(data) == NOTHING

    def test_the_last_of_a_repeated_name_counts(self) -> None:
        assert facts.read_json(b'{"uptime": 1, "uptime": 2}').uptime == 2

    @pytest.mark.parametrize(
        "query",
        [
            base64.urlsafe_b64encode(b'{"virt":"\xc3\xbf\xc3\xbe?>~"}'),
            base64.urlsafe_b64encode(b'{"virt":"\xc3\xbf\xc3\xbe?>~"}').rstrip(b"="),
            base64.b64encode(b'{"virt":"\xc3\xbf\xc3\xbe?>~"}'),
            base64.b64encode(b'{"virt":"\xc3\xbf\xc3\xbe?>~"}') + b"====",
            b"".join(b"%%%02X" % c for c in base64.b64encode(b'{"virt":"\xc3\xbf\xc3\xbe?>~"}')),
        ],
        ids=["url-safe", "without padding", "standard", "too much padding", "percent-encoded"],
    )
    def test_base64_in_its_forms(self, query: bytes) -> None:
        expected = Reported(virt="ÿþ?>~")
        for before, after in ((b"", b""), (b"x=1&", b""), (b"", b"&x=1"), (b"", b"&info=e30")):
            assert facts.read(before + b"info=" + query + after) == expected

    @pytest.mark.parametrize(
        "query",
        [
            b"",
            b"info",
            b"info=",
            b"info==",
            b"info=A",
            b"info=%",
            b"info=%zz",
            b"info=%00",
            b"info=\xff\xfe",
            b"info=" + b"!" * 1000,
            b"info=e30=e30",
            b"INFO=eyJ1cHRpbWUiOjV9",
            b"info[]=eyJ1cHRpbWUiOjV9",
            b"&&&&=&;;",
            b"&" * 16_000,
            b"a=b&" * 4_000,
            b"info=A&" * 2_000,
        ],
        ids=lambda query: repr(query[:30]),
    )
    def test_queries_without_facts(self, query: bytes) -> None:
        assert facts.read(query) == NOTHING

    def test_random_objects(self) -> None:
        chance = random.Random(2)
        for _ in range(3000):
            data = _random_object(chance)
            _assert_storable(facts.read(b"info=" + base64.urlsafe_b64encode(data)))

    def test_random_bytes(self) -> None:
        chance = random.Random(3)
        data = json.dumps(dict.fromkeys(TEXTS, "a")).encode()
        whole = b"info=" + base64.urlsafe_b64encode(data)
        for _ in range(3000):
            query = bytearray(whole)
            for _ in range(chance.randrange(1, 20)):
                query[chance.randrange(len(query))] = chance.randrange(256)
            _assert_storable(facts.read(bytes(query)))
            _assert_storable(facts.read(chance.randbytes(chance.randrange(200))))


class TestCheckins:
    """The same through the whole agent side: the check-in counts, the rest stays as it was."""

    def test_bad_facts_leave_the_old_ones(self, agent: TestClient, server: str) -> None:
        good = {"hostname": "evil", "virt": "kvm", "uptime": 5, "tags": "a"}
        before = stored(agent, server, **good)

        for bad in BAD_TEXTS.values():
            row = stored(agent, server, hostname=bad, uptime=5)
            assert row | {"checkin": None} == before | {"checkin": None}
            row = stored(agent, server, tags=bad)
            assert row | {"checkin": None} == before | {"checkin": None}

    def test_what_is_no_host_name(self, agent: TestClient, server: str) -> None:
        for number, bad in enumerate(["a b", "<script>", "-a", "a/../b", "ä", "a" * 254, ""]):
            row = stored(agent, server, hostname=bad, virt=f"kvm{number}")
            assert (row["hostname"], row["virt"]) == ("evil", f"kvm{number}")

    def test_too_much_information(self, agent: TestClient, server: str) -> None:
        headers = basic(server)

        query = agent.get(f"/{WEB}/latest.v1?info={'A' * 20_000}", headers=headers)
        assert query.status_code == 414
        for size, status in ((20_000, 400), (1_000_000, 413)):
            body = agent.post(CHECKIN, content=b" " * size, headers=headers)
            assert body.status_code == status
        assert shown(server)["checkin"] is None

    def test_repeated_arguments(self, agent: TestClient, server: str) -> None:
        first, second = encoded({"virt": "kvm"}), encoded({"virt": "xen"})
        query = f"info={first}&info={second}&info"

        assert agent.get(f"/{WEB}/latest.v1?{query}", headers=basic(server)).text == "1"

        eventually(lambda: shown(server)["virt"] == "kvm")

    def test_random_check_ins_are_listed(self, agent: TestClient, server: str) -> None:
        chance = random.Random(4)
        for _ in range(200):
            info = base64.urlsafe_b64encode(_random_object(chance)).decode()
            target = chance.choice([WEB, "%00", "%E2%80%AE", "x" * 300, "%1b", "..", "a%2fb"])
            agent.get(f"/{target}/latest.v1?info={info}", headers=basic(server))
            agent.post(
                CHECKIN,
                params={"kernel_id": chance.choice([WEB, "\0", "\u202e", "x" * 300])},
                content=_random_object(chance),
                headers=basic(server),
            )

        eventually(lambda: shown(server)["checkin"])

    def test_the_command_line_lists_all_of_it(
        self, agent: TestClient, server: str, cli: CommandLine
    ) -> None:
        stored(agent, server, tags="ünïcödé;日本;🐧", hostname="h" * 253, uptime=10**15)

        for encoding in ("ascii", "utf-8"):
            done = cli("server", PYTHONIOENCODING=encoding)
            assert (done.returncode, done.stderr) == (0, "")
            (row,) = json.loads(cli.ok("server", "--json", PYTHONIOENCODING=encoding))
            assert row["id"] == server
        assert row["tags"] == "ünïcödé;日本;🐧"
        assert cli("doctor").returncode == 0


class TestArguments:
    """Bodies of registration: whatever cannot be read is a 400, and no server."""

    @pytest.fixture(autouse=True)
    def _one_server(self, server: str) -> Iterator[None]:
        yield
        assert [row["hostname"] for row in queries.servers()] == ["evil"]

    @pytest.mark.parametrize("kind", ["json", "form"])
    def test_bodies(self, agent: TestClient, kind: str) -> None:
        as_json = [("application/json", body) for body in BROKEN_JSON]
        for content_type, body in as_json if kind == "json" else BROKEN_FORMS:
            answer = agent.post(
                "/admin/api/register",
                content=body,
                headers={"Content-Type": content_type.encode("latin-1")},
            )
            assert answer.status_code == 400, (content_type, body[:100], answer.text)
            assert answer.json()["error"] in ("invalid-value", "invalid-key")

    def test_bodies_over_the_limit(self, agent: TestClient) -> None:
        for content in (b"a" * 65_537, iter([b"a" * 1000] * 66)):
            answer = agent.post(
                "/admin/api/register",
                content=content,
                headers={"Content-Type": "application/json"},
            )
            assert answer.status_code == 413

    def test_a_key_that_came_twice(self, agent: TestClient) -> None:
        answer = agent.get(f"{API}/register_server.plain?key=K1&hostname=web&key=other")

        assert answer.text == "code:2\n"

    def test_other_calls(self, agent: TestClient) -> None:
        bodies = (b"\xff", b"[]", b'{"server_id": "\\u0000"}')
        for call, body in product(("check", "unregister_server", "tag_server"), bodies):
            answer = agent.post(
                f"{API}/{call}.json", content=body, headers={"Content-Type": "application/json"}
            )
            assert answer.status_code == 400


def test_a_server_that_asks_all_the_time_fills_no_queue(portal: Portal) -> None:
    writer = Writer(portal)

    for number in range(1000):
        for server in (b"one", b"two"):
            writer.put(Raw(server, number, "127.0.0.1", WEB, b"x" * 16_000))

    assert writer.depth == 2


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, str]]:
    """A served portal and the id of a good server; at the end nothing of it was an error."""
    folder = tmp_path_factory.mktemp("attacked")
    with serving(folder / "var", CHECKIN_FLUSH_PERIOD="0.05") as served:
        served.cli.ok("kcare", "deploy", archive(folder, "K20260101_01", {WEB: 1}))
        server = served.register(served.cli.ok("key", "-a").strip(), "good")
        yield served, server
        good = requests.get(f"{served.url}/{WEB}/latest.v1", headers=basic(server), timeout=10)
        assert good.text == "1"
        assert [row["hostname"] for row in served.cli.json("server")] == ["good"]
        assert "good" in served.cli.ok("server")
    log = served.log.read_text()
    assert "Traceback" not in log
    assert "\x1b" not in log


class TestWire:
    """Below HTTP, over real sockets."""

    @pytest.mark.parametrize("path", ["/admin/api/register", CHECKIN, "/admin/", f"/{WEB}/version"])
    @pytest.mark.parametrize(
        "length",
        [
            ["Content-Length: abc"],
            ["Content-Length: -5"],
            ["Content-Length: 5, 6"],
            ["Content-Length: 5", "Content-Length: 6"],
            ["Content-Length: 99999999999999999999999"],
            ["Content-Length: 5", "Transfer-Encoding: chunked"],
            ["Transfer-Encoding: chunked, chunked"],
            ["Transfer-Encoding: nothing"],
        ],
        ids=" ".join,
    )
    def test_lengths(self, attacked: tuple[Served, str], path: str, length: list[str]) -> None:
        served, _ = attacked

        answer = exchange(served.url, request(path, *length, method="POST", body=b"abcdef"))

        assert 400 <= answer.status < 500

    @pytest.mark.parametrize(
        "start",
        [
            b"\0\0\0\0",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"FROB / HTTP/1.1\r\n\r\n",
            b"GET /\0 HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nA b: c\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n: c\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: \x1b[31m\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ],
        ids=repr,
    )
    def test_what_is_no_http(self, attacked: tuple[Served, str], start: bytes) -> None:
        served, _ = attacked

        assert exchange(served.url, start).status in (0, 400)

    @pytest.mark.parametrize("path", ["/admin/api/register", CHECKIN])
    def test_an_endless_body(self, attacked: tuple[Served, str], path: str) -> None:
        served, server = attacked
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        head = request(
            path,
            f"Authorization: {basic(server)['Authorization']}",
            "Content-Type: application/json",
            "Transfer-Encoding: chunked",
            method="POST",
        )

        assert exchange(served.url, head, *[chunk] * 50).status == 413

    def test_a_body_that_is_announced_too_long(self, attacked: tuple[Served, str]) -> None:
        served, _ = attacked
        headers = ("Content-Type: application/json", "Content-Length: 70000000")

        for path in ("/admin/api/register", "/admin/upload"):
            for expect in ((), ("Expect: 100-continue",)):
                head = request(path, *headers, *expect, method="POST")
                assert exchange(served.url, head).status == 413

    def test_a_megabyte_of_information(self, attacked: tuple[Served, str]) -> None:
        served, server = attacked
        head = request(
            f"/{WEB}/latest.v1?info={'A' * 1_000_000}",
            f"Authorization: {basic(server)['Authorization']}",
        )

        assert 400 <= exchange(served.url, head).status < 500

    @pytest.mark.parametrize(
        ("start", "more"),
        [
            (b"GET /", b"a" * 65_536),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"a" * 65_536),
            (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X: a\r\n" * 10_000),
            (
                b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
                b"X: a\r\n" * 10_000,
            ),
        ],
        ids=["path", "header", "headers", "trailers"],
    )
    def test_a_head_that_never_ends(
        self, attacked: tuple[Served, str], start: bytes, more: bytes
    ) -> None:
        served, _ = attacked
        with connect(served.url) as sock:
            sock.sendall(start)
            with pytest.raises(ConnectionError):
                sock.sendall(more * 1000)

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
    @pytest.mark.parametrize(
        "path",
        [
            f"/{WEB}/latest.v1",
            f"/{WEB}/1/kpatch.info",
            f"{API}/register_server.json",
            "/admin/api/register",
            CHECKIN,
            "/healthz",
        ],
    )
    def test_methods(self, attacked: tuple[Served, str], method: str, path: str) -> None:
        served, _ = attacked

        assert exchange(served.url, request(path, method=method)).status in (404, 405)

    def test_requests_that_never_end(self, attacked: tuple[Served, str]) -> None:
        served, server = attacked
        whole = request(
            "/admin/api/register",
            "Content-Type: application/json",
            "Content-Length: 50",
            method="POST",
        )
        with ExitStack() as stack:
            for number in range(200):
                sock = stack.enter_context(connect(served.url))
                sock.sendall(whole[: 20 + number])

            good = requests.get(f"{served.url}/{WEB}/latest.v1", headers=basic(server), timeout=1)
            assert good.text == "1"

    @pytest.mark.parametrize("path", ["/admin/api/register", CHECKIN, "/admin/x"])
    def test_hanging_up_in_the_middle(self, attacked: tuple[Served, str], path: str) -> None:
        served, server = attacked
        head = request(
            path,
            f"Authorization: {basic(server)['Authorization']}",
            "Content-Type: application/json",
            "Content-Length: 50",
            method="POST",
        )
        with connect(served.url) as sock:
            sock.sendall(head + b"{")
            sock.shutdown(socket.SHUT_WR)

            assert reply(sock).body == b""

    def test_hanging_up_instead_of_reading(self, attacked: tuple[Served, str]) -> None:
        served, _ = attacked
        halves = children(served.process.pid)
        ask = request(f"{API}/check.json?server_id=nobody").replace(b"Connection: close\r\n", b"")

        for number in range(300):
            with connect(served.url) as sock:
                if number % 2:
                    # Resets the connection.
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.sendall(ask * (number % 7 + 1))

        assert requests.get(f"{served.url}/healthz", timeout=10).text == "ok\n"
        assert all(map(is_running, halves.values()))

    def test_a_flood_of_unknown_ids(self, attacked: tuple[Served, str]) -> None:
        served, server = attacked

        def ask(number: int) -> int:
            id_ = server if number % 10 == 0 else f"nobody{number}"
            url = f"{served.url}/{WEB}/latest.v1"
            return requests.get(url, headers=basic(id_), timeout=10).status_code

        with ThreadPoolExecutor(20) as crowd:
            answers = list(crowd.map(ask, range(200)))

        assert answers == [200 if number % 10 == 0 else 401 for number in range(200)]

    def test_an_upgrade_that_is_not_offered(self, attacked: tuple[Served, str]) -> None:
        served, _ = attacked
        answer = exchange(
            served.url,
            request(f"/{WEB}/latest.v1", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
        )

        assert answer.status == 200

    def test_paths_do_not_leave_the_admin_side(self, attacked: tuple[Served, str]) -> None:
        served, _ = attacked

        for path in ("/admin/../healthz", "/admin/%2e%2e/healthz", "/admin/./../healthz"):
            assert exchange(served.url, request(path)).status == 404


class TestAddresses:
    """``X-Forwarded-For`` is a claim of whoever connects: believed from trusted proxies alone."""

    @pytest.mark.parametrize(
        ("trusted", "believed"),
        [
            ("127.0.0.1", ["10.1.2.3", "10.1.2.4", "2001:db8::1", "", ""]),
            ("::1", ["127.0.0.1"] * 5),
        ],
    )
    def test_claims(self, data_dir: Path, trusted: str, believed: list[str]) -> None:
        claims = [
            ["10.1.2.3"],
            ["6.6.6.6, 10.1.2.4"],
            ["6.6.6.6", "2001:db8::1"],
            ["\x9b31m<script>"],
            ["a" * 10_000],
        ]
        with serving(data_dir, "--only", "agent", TRUSTED_PROXIES=trusted) as served:
            key = served.cli.ok("key", "-a").strip()
            path = f"{API}/register_server.plain?key={key}&hostname=web1"
            for claim in claims:
                headers = [f"X-Forwarded-For: {each}" for each in claim]
                assert exchange(served.url, request(path, *headers)).body.startswith(b"code:0")

            assert [row["ip"] for row in served.cli.json("server")] == believed


def test_log_lines_hold_no_control_characters(caplog: pytest.LogCaptureFixture) -> None:
    def endpoint(request: Request) -> Response:
        raise DatabaseError("The database cannot be used.")

    app = Starlette(routes=[Route("/{anything}", endpoint)], exception_handlers=HANDLERS)
    with caplog.at_level(logging.ERROR):
        answer = TestClient(app).get("/%1b%5b31m%0d%0aFORGED")

    assert answer.status_code == 503
    (record,) = caplog.records
    assert record.getMessage().isprintable()


def _random_object(chance: random.Random) -> bytes:
    """A JSON object, or nearly one, of known names and odd values."""
    values: list[Any] = [*BAD_TEXTS.values(), *BAD_VALUES[:4], "a", "web1", 5, None]
    names = chance.sample(TEXTS + NUMBERS, chance.randrange(1, 8))
    data = json.dumps({name: chance.choice(values) for name in names}).encode()
    if chance.random() < 0.3:
        cut = chance.randrange(len(data))
        data = (
            data[:cut] + chance.randbytes(chance.randrange(4)) + data[cut + chance.randrange(3) :]
        )
    return data[:12_000]


def _assert_storable(reported: Reported) -> None:
    for text in facts.texts(reported):
        assert text is None or (len(text) <= 1000 and text.isprintable())
        assert text is None or text.encode()
    for number in (reported.patch_level, reported.uptime):
        assert number is None or 0 <= number <= 10**15
    msgspec.json.encode(reported)
    facts.digest(reported, "", "")
