"""``GET /admin/api/servers``: what clients send, and what they find; nothing is changed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from eportal_core import db
from eportal_core.admin.app import admin_app
from eportal_core.operations import users
from eportal_core.queries.server_pages import SORTS
from tests.support.fleets import (
    FIELDS,
    OTHER,
    SERVERS,
    Ask,
    Fleet,
    asking,
    by_cursor,
    names,
    new_key,
)
from tests.support.opening import opened


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet that the tests of this file share."""
    folder = tmp_path_factory.mktemp("fleet")
    portal = opened(folder / "var")
    with db.connection():
        yield Fleet(portal, folder)
    db.close()


@pytest.fixture(scope="module")
def client(fleet: Fleet) -> TestClient:
    """The admin side, asked by a readonly user."""
    users.add(fleet.portal, "reader", "a long password", readonly=True)
    asked = TestClient(admin_app(fleet.portal), raise_server_exceptions=False)
    asked.headers["X-Api-Key"] = new_key("reader")
    return asked


@pytest.fixture(scope="module")
def ask(client: TestClient) -> Ask:
    return asking(client)


# Shape


def test_what_is_not_known_is_null(fleet: Fleet, ask: Ask) -> None:
    (row,) = ask(hostname="new1")["result"]
    known = {"id", "ip", "hostname", "key", "feed", "registered"}
    assert {name for name in FIELDS if row[name] is not None} == known


@pytest.mark.parametrize("path", [SERVERS, f"{SERVERS}/"])
def test_the_line_that_clients_send_is_answered(
    fleet: Fleet, client: TestClient, path: str
) -> None:
    line = (
        "hostname=w%25&ip=&service_id=&feed=&key=&registered_age=-31&checkin_age=-4h&updated_age="
        "&is_updated=true&limit=10&offset=0&only_count=false&tag=env%3Aprod"
    )
    answer = client.get(f"{path}?{line}").json()
    assert (answer["count"], names(answer)) == (1, ["web1"])


@pytest.mark.parametrize(
    "body", [{"content": b""}, {"content": b"null"}, {"content": b'{"hostname": "web1"}'}]
)
def test_arguments_may_come_as_json(
    fleet: Fleet, client: TestClient, body: dict[str, bytes]
) -> None:
    answer = client.request(
        "GET",
        f"{SERVERS}?hostname=web1",
        headers={"Content-Type": "application/json"},
        **body,  # type: ignore[arg-type]
    )
    assert (answer.status_code, names(answer.json())) == (200, ["web1"])


def test_only_the_count(fleet: Fleet, ask: Ask) -> None:
    assert ask(only_count="true") == {"count": 6}
    assert ask(only_count="true", tag="ubuntu") == {"count": 2}


# Filters


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({}, "web1 web2 web3 db1 new1 lab_1"),
        ({"hostname": "web1"}, "web1"),
        ({"hostname": "WEB1"}, "web1"),
        ({"hostname": "web"}, ""),
        ({"hostname": "web%"}, "web1 web2 web3"),
        ({"hostname": "%1"}, "web1 db1 new1 lab_1"),
        ({"hostname": "%eb1"}, "web1"),
        ({"hostname": "%lab_%"}, "lab_1"),
        ({"hostname": "%lab%1"}, "lab_1"),
        ({"hostname": "%"}, "web1 web2 web3 db1 new1 lab_1"),
        ({"hostname": "web_"}, ""),
        ({"ip": "10.0.0.%"}, "web1 web2 web3"),
        ({"ip": "10.0.1.2"}, "new1"),
        ({"ip": "%.0.1.%"}, "db1 new1"),
        ({"feed": "main", "hostname": "%1"}, "web1 db1 new1"),
        ({"feed": "test"}, "lab_1"),
        ({"feed": "nobody's"}, ""),
        ({"key": "K-test"}, "lab_1"),
        ({"key": "K"}, ""),
        ({"tag": "ubuntu"}, "web1 web2"),
        ({"tag": "env:test"}, "web2"),
        ({"tag": "env:test", "hostname": "%web%"}, "web2"),
        ({"tag": "%"}, ""),
        ({"registered_age": "15"}, "web1 web2"),
        ({"registered_age": "-15"}, "web3 db1 new1 lab_1"),
        ({"registered_age": "4h"}, "web1 web2 web3 db1 new1"),
        ({"registered_age": "-4h"}, "lab_1"),
        ({"checkin_age": "2"}, "web2 web3"),
        ({"checkin_age": "4h"}, "web2 web3 new1 lab_1"),
        ({"checkin_age": "-4h"}, "web1 db1"),
        ({"checkin_age": "-3", "key": "K-main"}, "web1 db1"),
        ({"active": "true"}, "web1 db1 lab_1"),
        ({"active": "false"}, "web2 web3 new1"),
        ({"active": "true", "feed": "main"}, "web1 db1"),
        ({"is_updated": "true"}, "web1 lab_1"),
        ({"is_updated": "false"}, "web2 web3"),
        ({"is_updated": "false", "active": "false"}, "web2 web3"),
        ({"is_updated": "false", "tag": "ubuntu"}, "web2"),
        ({"behind": "2"}, "web3"),
        ({"patchset": "K20260301_01"}, "web1"),
        ({"patchset": "K20260401_01"}, "lab_1"),
        ({"patchset": "none"}, ""),
        ({"kernel_id": OTHER}, "db1"),
        ({"distro": "Debian"}, "web1 web2"),
        ({"virt": "kvm"}, "web3 db1"),
        ({"virt": "kvm", "distro": "Debian"}, ""),
        ({"machine": "aarch64"}, "web3 lab_1"),
        ({"release": "6.1.0-9"}, "web1 web2"),
        ({"euname": "6.1.0-12"}, "web1"),
        ({"unknown": "machine"}, "db1 new1"),
        ({"unknown": "distro", "machine": "aarch64"}, "web3 lab_1"),
        ({"unknown": "uptime"}, "db1 new1 lab_1"),
        ({"uptime_min": "0"}, "web1 web2 web3"),
        ({"uptime_min": "10"}, "web2 web3"),
        ({"uptime_max": "10"}, "web1"),
        ({"uptime_min": "10", "uptime_max": "11"}, "web2"),
        ({"uptime_min": "10", "machine": "aarch64", "active": "false"}, "web3"),
        ({"product": "libcare", "hostname": "lab%"}, "lab_1"),
        ({"search": "eb2"}, "web2"),
        ({"search": "0.1."}, "db1 new1"),
        ({"search": "prod"}, "web1"),
        ({"search": "K-TEST"}, "lab_1"),
        ({"search": "b1"}, "web1 db1"),
        ({"search": "nowhere"}, ""),
        ({"search": "_"}, "lab_1"),
        ({"search": "%"}, ""),
    ],
)
def test_filters(fleet: Fleet, ask: Ask, arguments: dict[str, str], found: str) -> None:
    answer = ask(**arguments)
    expected = set(found.split())
    if text := arguments.get("search", "").lower():
        # An id has random letters, and is searched too.
        expected |= {name for name, each in fleet.id_of.items() if text in each.lower()}
    if len(expected) == len(found.split()):
        assert names(answer) == found.split()
    assert set(names(answer)) == expected
    assert answer["count"] == len(names(answer)) == len(expected)
    assert ask(only_count=True, **arguments) == {"count": len(expected)}


def test_servers_by_id(fleet: Fleet, client: TestClient, ask: Ask) -> None:
    first, second = fleet.id_of["web1"], fleet.id_of["db1"]
    assert names(ask(server_id=first)) == ["web1"]
    assert names(ask(service_id=first)) == ["web1"]
    assert names(client.get(f"{SERVERS}?id={first}&id={second}").json()) == ["web1", "db1"]
    assert names(ask(search=first[3:12])) == ["web1"]


def test_one_server_and_what_its_feed_has_for_it(fleet: Fleet, client: TestClient) -> None:
    shown = client.get(f"{SERVERS}/{fleet.id_of['web2']}").json()
    assert shown.keys() == FIELDS | {"latest_level", "is_updated", "clones"}
    assert (shown["patch_level"], shown["latest_level"], shown["is_updated"]) == (2, 3, False)
    unsupported = client.get(f"{SERVERS}/{fleet.id_of['db1']}/").json()
    assert (unsupported["latest_level"], unsupported["is_updated"]) == (None, None)
    assert client.get(f"{SERVERS}/nobody").status_code == 404
    assert client.get(f"{SERVERS}/nob%00dy").status_code in (400, 404)


# Order and pages


@pytest.mark.parametrize("sort", sorted(SORTS))
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("filters", [{}, {"key": "K-main"}, {"hostname": "%1%"}])
def test_every_way_through_the_list_is_the_same(
    fleet: Fleet, ask: Ask, sort: str, order: str, filters: dict[str, str]
) -> None:
    """At once, by offset and by cursor; NULL and equal values included."""
    whole = ask(sort=sort, order=order, limit=100, **filters)
    assert whole["cursor"] is None
    every = names(whole)
    assert len(every) == whole["count"]
    assert names(ask(sort=sort, limit=100, **filters)) == (every if order == "asc" else every[::-1])
    for size in (1, 2, 4):
        paged = [
            name
            for offset in range(0, len(every) + size, size)
            for name in names(ask(sort=sort, order=order, limit=size, offset=offset, **filters))
        ]
        assert paged == every
        assert list(by_cursor(ask, size, sort=sort, order=order, **filters)) == every


def test_values_are_in_order(fleet: Fleet, ask: Ask) -> None:
    assert names(ask(sort="checkin")) == ["new1", "web3", "web2", "lab_1", "db1", "web1"]
    assert names(ask(sort="ip", order="desc"))[0] == "lab_1"


# Hostile input


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=10001",
        f"limit={10**30}",
        "limit=ten",
        "offset=-1",
        f"offset={10**30}",
        "is_updated=maybe",
        "behind=0",
        "behind=21",
        f"behind={10**30}",
        "sort=password",
        "sort=f.number;--",
        "order=up",
        "registered_age=soon",
        "checkin_age=3d",
        "checkin_age=--3",
        "updated_age=1.5",
        f"checkin_age={10**30}",
        "hostname=a%00b",
        f"search={'x' * 256}",
        "product=none",
        "cursor=x",
        "cursor=%C3%A9",
        "cursor=lKtub3RoaW5nAQIB",
        "cursor=x&offset=1",
        "id=" + "&id=".join(map(str, range(999))) + "&limit=-5",
    ],
)
def test_bad_values_are_refused_in_one_sentence(
    fleet: Fleet, client: TestClient, query: str
) -> None:
    answer = client.get(f"{SERVERS}?{query}")
    assert answer.status_code in (400, 404), answer.text
    assert answer.json().keys() == {"error", "detail"}
    assert answer.json()["detail"].endswith(".")


@pytest.mark.parametrize(
    "text",
    [
        "'",
        '"',
        '""',
        '" OR "',
        "\\",
        "%\\",
        "a' OR 1=1 --",
        "*",
        "hostname : x",
        "NEAR(a b)",
        "ß√ж",
        "(((",
        "^web",
        "web*",
        "\u202e\u202e\u202e",
        "😀😀😀",
        "-- --",
        "{t}",
        "{t}{t}",
    ],
)
@pytest.mark.parametrize("name", ["hostname", "ip", "search", "tag", "key", "feed", "distro"])
def test_text_is_text(fleet: Fleet, ask: Ask, name: str, text: str) -> None:
    for value in (text, f"%{text}%"):
        assert ask(**{name: value})["count"] == 0
    assert ask()["count"] == 6


def test_a_cursor_that_was_changed_is_refused_or_harmless(
    fleet: Fleet, client: TestClient, ask: Ask
) -> None:
    cursor = ask(limit=2)["cursor"]
    for place in range(len(cursor)):
        for character in "A_z0":
            changed = cursor[:place] + character + cursor[place + 1 :]
            answer = client.get(SERVERS, params={"limit": 2, "cursor": changed})
            assert answer.status_code in (200, 400), changed


def test_an_age_before_all_times_is_one(fleet: Fleet, ask: Ask) -> None:
    assert ask(registered_age="999999")["count"] == 0
    assert ask(registered_age="-999999")["count"] == 6


# CSV


def test_csv_is_all_that_is_filtered(fleet: Fleet, client: TestClient) -> None:
    answer = client.get(
        SERVERS, params={"feed": "main", "limit": 1}, headers={"Accept": "text/csv"}
    )
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["hostname"] for row in rows] == ["web1", "web2", "web3", "db1", "new1"]
    assert rows[0].keys() == FIELDS
    assert answer.text.count("\r\n") == 6
    listed = client.get(SERVERS, params={"feed": "main"}).json()["result"]
    assert rows == [
        {name: "" if value is None else str(value) for name, value in row.items()} for row in listed
    ]


def test_csv_comes_in_pieces(
    fleet: Fleet, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eportal_core.admin.api.servers._PIECE", 2)
    answer = client.get(SERVERS, params={"sort": "ip"}, headers={"Accept": "text/csv"})
    found = [row["hostname"] for row in csv.DictReader(io.StringIO(answer.text))]
    assert found == ["web1", "web2", "web3", "db1", "new1", "lab_1"]


def test_csv_with_a_bad_filter_is_refused(client: TestClient) -> None:
    answer = client.get(SERVERS, params={"behind": 99}, headers={"Accept": "text/csv"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid-value")
