"""What is changed through ``/admin/api/servers``, by whom, and that lists stay true."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from eportal_core import db
from eportal_core.admin.app import admin_app
from eportal_core.models import Change, Checkin, Facts, Identity, now
from eportal_core.operations import feeds, keys, latest, patchsets, servers, users
from eportal_core.portal import Portal
from tests.support.fleets import (
    FIELDS,
    SERVERS,
    Ask,
    Fleet,
    asking,
    by_cursor,
    names,
    new_key,
)
from tests.support.patches import DB, KERNEL, WEB

MICROSECONDS = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")


@pytest.fixture
def fleet(portal: Portal, tmp_path: Path) -> Fleet:
    return Fleet(portal, tmp_path)


@pytest.fixture
def client(portal: Portal) -> TestClient:
    """The admin side, asked by an administrator unless a test says otherwise."""
    users.add(portal, "root", "a long password", readonly=False)
    asked = TestClient(admin_app(portal), raise_server_exceptions=False)
    asked.headers["X-Api-Key"] = new_key("root", write=True)
    return asked


@pytest.fixture
def ask(client: TestClient) -> Ask:
    return asking(client)


def test_a_server_has_the_documented_fields(fleet: Fleet, ask: Ask) -> None:
    server = fleet.id_of["web1"]
    moment = now().replace(microsecond=0)
    reported = {
        "updated": moment,
        "euname": "3.10.0-1160.25.1.el7",
        "release": "3.10.0-957.5.1.el7.x86_64",
        "patch_type": "default",
        "version": "#1 SMP Fri Feb 1 14:54:57 UTC 2019",
        "virt": "kvm",
        "kcare_version": "2.44-2",
        "distro": "CentOS Linux",
        "distro_version": "7.6.1810",
        "machine": "x86_64",
        "processor": "x86_64",
    }
    Facts.update(reported).where(Facts.server == server).execute()
    Checkin.update(uptime=6394092).where(Checkin.server == server).execute()
    answer = ask(hostname="web1")
    assert {name: answer[name] for name in ("count", "limit", "offset")} == {
        "count": 1,
        "limit": 10,
        "offset": 0,
    }
    (row,) = answer["result"]
    assert row.keys() == FIELDS
    del reported["updated"]
    assert row == row | reported | {
        "id": server,
        "ip": "10.0.0.1",
        "hostname": "web1",
        "key": "K-main",
        "feed": "main",
        "kernel_id": WEB,
        "patch_level": 3,
        "patchset": "K20260301_01",
        "tags": "env:prod;ubuntu",
        "uptime": 6394092,
    }
    for name in ("registered", "checkin", "updated"):
        assert MICROSECONDS.fullmatch(row[name]), name
    assert row["updated"].endswith(".000000")


def test_what_is_latest_follows_the_feed(fleet: Fleet, ask: Ask) -> None:
    """Whatever is enabled, disabled or moved changes the answer at once."""
    patchsets.disable(fleet.portal, KERNEL, "K20260301_01", "main")
    assert names(ask(is_updated=True)) == ["web1", "web2", "lab_1"]
    patchsets.enable(fleet.portal, KERNEL, "K20260301_01", "main")
    assert names(ask(is_updated=True)) == ["web1", "lab_1"]
    servers.move(fleet.portal, [fleet.id_of["web1"]], "K-test")
    assert names(ask(is_updated=True)) == ["lab_1"]


def test_the_groups_and_the_text_index_stay_true(fleet: Fleet) -> None:
    """After every kind of change they are what a look at every server says."""
    moved, gone = fleet.id_of["web1"], fleet.id_of["web2"]
    Facts.update(hostname="renamed", ip="10.9.9.9", distro=None, patch_level=None).where(
        Facts.server == moved
    ).execute()
    fleet.tag("web3", 'quote";back\\slash;env:prod')
    fleet.tag("web3", 'quote";ü')
    Facts.update(machine="aarch64", release="6.1", euname="6.2").where(
        Facts.server == fleet.id_of["lab_1"]
    ).execute()
    servers.move(fleet.portal, [moved], "K-test")
    servers.unregister(fleet.portal, gone)
    keys.remove(fleet.portal, "K-test")
    fleet.add("last", "10.0.0.77", "K-main", 0)
    counted = db.fetch(
        "SELECT key, coalesce(kernel_id, ''), coalesce(patch_level, -1), coalesce(distro, ''),"
        " coalesce(virt, ''), coalesce(machine, ''), coalesce(release, ''), coalesce(euname, ''),"
        " count(*) FROM facts GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"
    )
    assert sorted(db.fetch("SELECT * FROM fleet WHERE servers > 0")) == sorted(counted)
    assert db.fetch("SELECT key, tags, registered, server FROM facts ORDER BY server") == db.fetch(
        "SELECT key, tags, registered, id FROM server ORDER BY id"
    )
    assert sorted(db.fetch("SELECT * FROM server_tag")) == sorted(
        (tag, facts.number)
        for facts in Facts.select()
        for tag in (facts.tags or "").split(";")
        if tag
    )
    db.execute("INSERT INTO search (search, rank) VALUES ('integrity-check', 1)")


def test_latest_levels_are_those_that_agents_get(fleet: Fleet) -> None:
    latest.refresh(fleet.portal)
    ranked = db.fetch("SELECT feed, target, level FROM latest_level WHERE rank = 0")
    assert sorted(ranked) == sorted([("main", WEB, 3), ("main", DB, 3), ("test", WEB, 4)])
    feeds.remove(fleet.portal, "test")
    latest.refresh(fleet.portal)
    assert {feed for (feed,) in db.fetch("SELECT feed FROM latest_level")} == {"main"}


@pytest.mark.parametrize("sort", ["registered", "hostname", "checkin", "distro"])
def test_servers_that_come_and_go_move_no_other(fleet: Fleet, ask: Ask, sort: str) -> None:
    """Each that is there all the time comes once, whatever happens between two pages."""
    for number in range(20):
        fleet.add(f"stays{number:02}", f"10.1.0.{number}", "K-main", 3, distro=f"D{number % 3}")
    for number in range(20):
        fleet.add(f"goes{number:02}", f"10.2.0.{number}", "K-main", 3)
    seen: list[str] = []
    for place, name in enumerate(by_cursor(ask, 3, sort=sort)):
        seen.append(name)
        if place % 3 == 2 and place // 3 < 10:
            gone = f"goes{place // 3:02}"
            servers.unregister(fleet.portal, fleet.id_of[gone])
            fleet.add(f"comes{place:02}", f"10.3.0.{place}", "K-main", 60 - place)
    there = [name for name in seen if name.startswith("stays")]
    assert sorted(there) == [f"stays{number:02}" for number in range(20)]
    assert len(set(seen)) == len(seen)


def test_a_cursor_keeps_the_count_and_belongs_to_its_list(
    fleet: Fleet, ask: Ask, client: TestClient
) -> None:
    first = ask(limit=2, tag="ubuntu", sort="ip")
    assert first["cursor"] is None
    first = ask(limit=2, feed="main")
    fleet.add("later", "10.0.0.99", "K-main", 0)
    assert ask(limit=2, feed="main", cursor=first["cursor"])["count"] == first["count"]
    other = client.get(SERVERS, params={"feed": "test", "cursor": first["cursor"]})
    assert other.status_code == 400
    assert "another order" in other.json()["detail"]


def test_csv_of_nothing_is_its_heading(client: TestClient) -> None:
    answer = client.get(SERVERS, headers={"Accept": "text/csv"})
    assert answer.text.startswith("id,ip,hostname,")
    assert answer.text.count("\r\n") == 1


def test_csv_holds_no_formula(fleet: Fleet, client: TestClient) -> None:
    fleet.tag("web1", "=cmd|'/c calc'!A0")
    Facts.update(distro='+1,"2"', processor="@SUM(A1)", virt="-1").execute()
    answer = client.get(SERVERS, headers={"Accept": "text/csv, */*"})
    for row in csv.reader(io.StringIO(answer.text)):
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)


@pytest.mark.parametrize("how", ["params", "data", "json"])
def test_delete_server(fleet: Fleet, client: TestClient, ask: Ask, how: str) -> None:
    delete = "/admin/api/delete_server"

    def removed(**arguments: str) -> Any:
        return client.post(delete, **{how: arguments}).json()  # type: ignore[arg-type]

    assert removed(ip="10.0.0.1") == {"result": 1}
    assert removed(ip="10.0.0.1") == {"result": 0}
    assert removed(hostname="web2") == {"result": 1}
    assert removed(hostname="%") == {"result": 0}
    assert removed(server_id=fleet.id_of["web3"], hostname="db1") == {"result": 0}
    assert removed(server_id=fleet.id_of["web3"]) == {"result": 1}
    assert names(ask()) == ["db1", "new1", "lab_1"]
    refused = client.post(delete)
    assert refused.status_code == 400
    assert "at least one" in refused.json()["detail"]


def test_delete_by_id_in_the_path(fleet: Fleet, client: TestClient) -> None:
    path = f"{SERVERS}/{fleet.id_of['web1']}"
    assert client.delete(path).json() == {"result": 1}
    assert client.delete(path).json() == {"result": 0}
    gone = Change.select().where(Change.table == "server", Change.row.is_null()).get()
    assert (gone.key, gone.actor) == (fleet.id_of["web1"], "root")


def test_delete_the_silent(fleet: Fleet, client: TestClient, ask: Ask) -> None:
    fleet.add("never", "10.0.0.50", "K-main", 20)
    preview = names(ask(checkin_age=15))
    assert preview == ["never", "web3"]
    assert client.delete(f"{SERVERS}?checkin_age=15").json() == {"result": 2}
    assert client.delete(f"{SERVERS}?checkin_age=15").json() == {"result": 0}
    assert names(ask()) == ["web1", "web2", "db1", "new1", "lab_1"]


def test_delete_many_in_lots(
    fleet: Fleet, client: TestClient, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eportal_core.admin.api.servers._LOT", 2)
    assert client.delete(f"{SERVERS}?feed=main").json() == {"result": 5}
    assert names(ask()) == ["lab_1"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?hostname=",
        "?hostname=%25",
        "?checkin_age=0",
        "?checkin_age=-3",
        "?checkin_age=4h",
        "?limit=3",
        "?checkin_age=",
        "?feed=&key=",
    ],
)
def test_not_all_are_deleted_by_mistake(
    fleet: Fleet, client: TestClient, ask: Ask, query: str
) -> None:
    answer = client.delete(f"{SERVERS}{query}")
    assert answer.status_code == 400, answer.text
    assert ask()["count"] == 6


def test_set_tags(fleet: Fleet, client: TestClient, ask: Ask) -> None:
    server = fleet.id_of["db1"]

    def send(**arguments: str) -> Any:
        return client.post("/admin/api/set_tags", data=arguments)

    assert send(server_id=server, tags="b; a").json() == {"result": 1}
    assert ask(tag="a")["result"][0]["tags"] == "b;a"
    assert send(server_id=server).json() == {"result": 1}
    assert ask(hostname="db1")["result"][0]["tags"] is None
    assert ask(tag="a")["count"] == 0
    assert send(server_id="nobody", tags="a").status_code == 404
    assert send(server_id=server, tags="x" * 1001).status_code == 400
    assert send(tags="a").status_code == 400


def test_tag_several(fleet: Fleet, client: TestClient, ask: Ask) -> None:
    chosen = [fleet.id_of["web1"], fleet.id_of["web2"], "nobody"]

    def send(**arguments: object) -> Any:
        return client.post(f"{SERVERS}/tags", json={"id": chosen, **arguments})

    assert send(add="rack7", remove="ubuntu").json() == {"result": 2}
    assert [row["tags"] for row in ask(tag="rack7")["result"]] == [
        "env:prod;rack7",
        "env:test;rack7",
    ]
    assert send(tags="one").json() == {"result": 2}
    assert names(ask(tag="one")) == ["web1", "web2"]
    assert send().status_code == 400
    assert send(add="x" * 1001).status_code == 400
    assert names(ask(tag="one")) == ["web1", "web2"]


def test_move_to_another_key(fleet: Fleet, client: TestClient, ask: Ask) -> None:
    keys.add(fleet.portal, "small", server_limit=1)
    chosen = [fleet.id_of["web1"], fleet.id_of["web2"]]

    def send(**arguments: object) -> Any:
        return client.post(f"{SERVERS}/move", json={"id": chosen, **arguments})

    assert send(key="K-test").json() == {"result": 2}
    assert send(key="K-test").json() == {"result": 2}
    assert names(ask(feed="test")) == ["web1", "web2", "lab_1"]
    full = send(key="small")
    assert (full.status_code, full.json()["error"]) == (400, "key-limit-reached")
    assert send(key="none").status_code == 404
    assert names(ask(feed="test")) == ["web1", "web2", "lab_1"]


# Who may


CHANGES: list[tuple[str, str, dict[str, object]]] = [
    ("DELETE", f"{SERVERS}?hostname=web1", {}),
    ("DELETE", f"{SERVERS}/WEB1", {}),
    ("POST", "/admin/api/delete_server", {"hostname": "web1"}),
    ("POST", "/admin/api/set_tags", {"server_id": "WEB1", "tags": "mine"}),
    ("POST", f"{SERVERS}/tags", {"id": ["WEB1"], "add": "mine"}),
    ("POST", f"{SERVERS}/move", {"id": ["WEB1"], "key": "K-test"}),
]


def sent(client: TestClient, fleet: Fleet, change: tuple[str, str, dict[str, object]]) -> Any:
    """A change of ``CHANGES``, sent with the real id of web1."""
    method, path, body = change
    real = fleet.id_of["web1"]
    named = {
        name: [real] if name == "id" else real if value == "WEB1" else value
        for name, value in body.items()
    }
    return client.request(method, path.replace("WEB1", real), json=named or None)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change[0]} {change[1]}")
def test_who_may_change(
    fleet: Fleet, client: TestClient, change: tuple[str, str, dict[str, object]]
) -> None:
    before = sorted(db.fetch("SELECT * FROM server"))
    del client.headers["X-Api-Key"]
    assert sent(client, fleet, change).status_code == 401
    users.add(fleet.portal, "reader", "a long password", readonly=True)
    for key in (new_key("reader", write=True), new_key("root")):
        client.headers["X-Api-Key"] = key
        assert sent(client, fleet, change).status_code == 403
    # An API key of another feed sees no such server, and one of another product neither.
    for limits in ({"feeds": ["test"]}, {"products": ["db"], "feeds": ["test"]}):
        client.headers["X-Api-Key"] = new_key("root", write=True, **limits)
        answer = sent(client, fleet, change)
        assert answer.status_code in (403, 404) or answer.json() == {"result": 0}
    assert sorted(db.fetch("SELECT * FROM server")) == before
    client.headers["X-Api-Key"] = new_key("root", write=True, feeds=["main", "test"])
    assert sent(client, fleet, change).json() == {"result": 1}


def test_a_key_of_a_feed_sees_and_counts_its_servers_alone(
    fleet: Fleet, client: TestClient, ask: Ask
) -> None:
    client.headers["X-Api-Key"] = new_key("root", feeds=["test"])
    assert names(ask()) == ["lab_1"]
    assert ask(feed="main")["count"] == 0
    assert ask(search="web")["count"] == 0
    assert client.get(f"{SERVERS}/{fleet.id_of['web1']}").status_code == 404
    assert client.get(f"{SERVERS}/{fleet.id_of['lab_1']}").status_code == 200
    rows = client.get(SERVERS, headers={"Accept": "text/csv"}).text.splitlines()
    assert len(rows) == 2


def test_a_key_of_a_product_sees_servers_that_have_it(
    fleet: Fleet, client: TestClient, ask: Ask
) -> None:
    keys.add(fleet.portal, "only-libcare", products=["libcare"])
    fleet.add("lib1", "10.0.5.1", "only-libcare", 0)
    client.headers["X-Api-Key"] = new_key("root", products=["libcare"])
    assert {"lib1", "lab_1"} <= set(names(ask()))
    client.headers["X-Api-Key"] = new_key("root", products=["kernel"])
    assert "lib1" not in names(ask())


def test_a_limited_key_moves_no_server_out_of_its_feeds(
    fleet: Fleet, client: TestClient, ask: Ask
) -> None:
    client.headers["X-Api-Key"] = new_key("root", write=True, feeds=["test"])
    own = {"id": [fleet.id_of["lab_1"]], "key": "K-main"}
    assert client.post(f"{SERVERS}/move", json=own).status_code == 403
    assert client.delete(f"{SERVERS}?hostname=%25_1").json() == {"result": 1}
    client.headers["X-Api-Key"] = new_key("root")
    assert len(names(ask())) == 5


def test_clones_are_told(fleet: Fleet, client: TestClient) -> None:
    server = fleet.id_of["web1"]
    for name in ("a", "b"):
        Identity.create(server=server, hostname=name, first_seen=now(), last_seen=now(), returns=1)
    assert client.get(f"{SERVERS}/{server}").json()["clones"] == ["a", "b"]
