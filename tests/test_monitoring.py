"""What monitoring asks: Nagios, lists of levels, Prometheus."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from starlette.testclient import TestClient

from eportal_core import fleet_totals
from eportal_core.admin.app import admin_app
from eportal_core.auth import throttle
from eportal_core.models import Checkin, Facts, now
from eportal_core.operations import feeds, keys, patchsets, servers, users
from eportal_core.portal import Portal
from tests.support.opening import opened
from tests.support.patches import DB, KERNEL, WEB, archive, kernel_id
from tests.support.polling import eventually
from tests.support.serving import Served

TOKEN = "scrape-me"


@pytest.fixture
def world(portal: Portal, tmp_path: Path) -> Portal:
    """Two patchsets for WEB, one for DB, the second one not yet in the feed ``test``."""
    feeds.add(portal, "test")
    keys.add(portal, "K")
    keys.add(portal, "T", feed="test")
    old = archive(tmp_path, "K20250101_01", {WEB: 1, DB: 1})
    new = archive(tmp_path, "K20250201_01", {WEB: 2})
    for path in (old, new):
        patchsets.deploy(portal, KERNEL, path)
    patchsets.enable(portal, KERNEL, "K20250101_01", "test")
    return portal


def add(
    portal: Portal,
    hostname: str,
    target: str,
    level: int | None,
    *,
    key: str = "K",
    silent: timedelta = timedelta(hours=1),
) -> None:
    row = servers.register(portal, key, hostname, "10.51.16.72")
    Checkin.update(time=now() - silent).where(Checkin.server == row).execute()
    Facts.update(kernel_id=target, patch_level=level).where(Facts.server == row).execute()


@pytest.fixture
def fleet_of_five(world: Portal) -> Portal:
    add(world, "good", WEB, 2)
    add(world, "late", WEB, 1)
    add(world, "alien", kernel_id("alien"), None)
    add(world, "gone", WEB, 2, silent=timedelta(hours=49))
    add(world, "tested", WEB, 1, key="T")
    return world


def asked(portal: Portal, path: str, **kwargs: object) -> httpx2.Response:
    return TestClient(admin_app(portal), raise_server_exceptions=False).get(path, **kwargs)


def test_all_well(world: Portal) -> None:
    add(world, "web1", WEB, 2)
    answer = asked(world, "/admin/api/kcare/nagios/K")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == (
        "All 1 servers are up to date|uptodate=1;outofdate=0;unsupported=0;inactive=0\n"
    )


def test_those_that_are_not_well_are_named(fleet_of_five: Portal) -> None:
    first, *rest = asked(fleet_of_five, "/admin/api/kcare/nagios/K").text.splitlines()
    summary, numbers = first.split("|")
    assert summary == "3 of 4 servers are not up to date"
    assert dict(part.split("=") for part in numbers.split(";")) == {
        "uptodate": "1",
        "outofdate": "1",
        "unsupported": "1",
        "inactive": "1",
    }
    assert rest == [
        "alien (10.51.16.72) is UNSUPPORTED",
        "gone (10.51.16.72) is INACTIVE",
        "late (10.51.16.72) is OUTOFDATE",
    ]


def test_a_feed_that_waits_is_up_to_date(fleet_of_five: Portal) -> None:
    assert "All 1 servers" in asked(fleet_of_five, "/admin/api/kcare/nagios/T").text


@pytest.mark.parametrize("key", ["nobody", "K%00", "..%2fK", "K/x"])
def test_an_unknown_key(fleet_of_five: Portal, key: str) -> None:
    answer = asked(fleet_of_five, f"/admin/api/kcare/nagios/{key}")
    assert answer.status_code in (200, 400, 404)
    assert "10.51.16.72" not in answer.text
    if key == "nobody":
        assert (answer.status_code, answer.text) == (200, "Servers not found for key nobody\n")
    levels = asked(fleet_of_five, f"/admin/api/kcare/patchset/{key}")
    assert "10.51.16.72" not in levels.text


def test_levels_of_a_key(fleet_of_five: Portal) -> None:
    data = asked(fleet_of_five, "/admin/api/kcare/patchset/K").json()["data"]
    assert sorted(data) == sorted(
        [
            ["10.51.16.72", WEB, 2],
            ["10.51.16.72", WEB, 1],
            ["10.51.16.72", kernel_id("alien"), 0],
            ["10.51.16.72", WEB, 2],
        ]
    )


def test_totals_tell_what_the_servers_of_each_key_do(fleet_of_five: Portal) -> None:
    totals = fleet_totals.count(fleet_of_five)
    assert {pair: number for pair, number in totals.states.items() if number} == {
        ("main", "uptodate"): 1,
        ("main", "outofdate"): 1,
        ("main", "unsupported"): 1,
        ("main", "inactive"): 1,
        ("test", "uptodate"): 1,
    }
    assert totals.behind == {("main", 1): 1}
    assert totals.products[KERNEL.name] == 5


def test_metrics_are_not_for_everybody(data_dir: Path) -> None:
    portal = opened(data_dir, METRICS_TOKEN=TOKEN)
    users.add(portal, "anna", "secret", readonly=True)

    def status(**kwargs: object) -> int:
        return asked(portal, "/admin/metrics", **kwargs).status_code

    assert status() == 401
    assert status(headers={"Authorization": "Bearer wrong"}) == 401
    assert status(headers={"Authorization": f"Bearer {TOKEN}"}) == 200
    assert status(auth=("anna", "secret")) == 200


def test_without_a_token_no_token_is_right(data_dir: Path) -> None:
    portal = opened(data_dir)
    for token in ("", "None", "null"):
        header = {"Authorization": f"Bearer {token}"}
        assert asked(portal, "/admin/metrics", headers=header).status_code == 401


def test_the_agent_side_asks_for_metrics_as_whoever_asks_it(served: Served) -> None:
    served.cli.ok("user", "-a", "-p", "secret", "anna")
    token = served.cli.ok("api-key", "-a", "--user", "anna", "scraper").strip()
    proxied = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
    with httpx2.Client(base_url=served.url) as client:
        assert client.get("/metrics", headers={"X-Api-Key": token}).status_code == 200
        form = {"username": "anna", "password": "secret"}
        assert client.post("/admin/login", data=form, headers=proxied).status_code == 303
        cookie = dict(client.cookies)["__Host-eportal_session"]
        client.cookies.clear()
        header = {"Cookie": f"__Host-eportal_session={cookie}"}
        assert client.get("/metrics", headers={**proxied, **header}).status_code == 200
        for number in range(throttle.OF_BOTH):
            wrong = ("anna", f"wrong {number}")
            answer = client.get("/metrics", auth=wrong, headers=proxied)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == 'Basic realm="ePortal"'
        answer = client.get("/metrics", auth=("anna", "secret"), headers=proxied)
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
        # Somebody else's guesses keep nobody out.
        assert client.get("/metrics", auth=("anna", "secret")).status_code == 200


def test_prometheus_understands_the_metrics(served: Served) -> None:
    served.cli.ok("user", "-a", "-p", "secret", "anna")
    served.cli.ok("key", "-a", "K")
    server = served.register("K")
    with httpx2.Client(base_url=served.url, auth=("anna", "secret")) as client:
        client.get(f"/{WEB}/latest.v1", auth=(server, "any"))

        def text() -> str:
            return client.get("/metrics").text

        eventually(lambda: "eportal_checkins_total 1.0" in text())
        assert client.get("/metrics", auth=("anna", "wrong")).status_code == 401
        metrics = text()
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=metrics, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
