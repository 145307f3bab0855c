"""The overview: its numbers, and that each leads to a list of as many servers."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from eportal_core import db, fleet_totals
from eportal_core.admin.ui import donut
from eportal_core.fleet_totals import Fleet as Counting
from eportal_core.fleet_totals import Uptimes, count
from eportal_core.models import Change
from eportal_core.operations import patchsets
from eportal_core.portal import Portal
from eportal_core.queries.week import NewPatchset, new_patchsets
from tests.support.fleets import DAYS, SERVERS, Fleet
from tests.support.logins import browser_of, log_in, with_users
from tests.support.opening import opened
from tests.support.overviews import DAY, cells, links, made, numbers, up
from tests.support.patches import KERNEL
from tests.support.polling import eventually


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet that the tests of this file share."""
    folder = tmp_path_factory.mktemp("overview")
    with with_users(opened(folder / "var")) as portal, db.connection():
        yield made(portal, folder)


@pytest.fixture(scope="module")
def reader(fleet: Fleet) -> TestClient:
    client = browser_of(fleet.portal)
    log_in(client, "bert")
    return client


@pytest.fixture(scope="module")
def page(reader: TestClient) -> str:
    answer = reader.get("/admin/")
    assert answer.status_code == 200, answer.text
    return answer.text


def told(page: str) -> dict[str, int]:
    """The tiles: label and number."""
    found = {}
    for _, text in links(page):
        number, _, label = text.partition(" ")
        if label in ("Servers", "Active", "Silent", "Up to date", "Behind", "Not supported"):
            found[label] = int(number)
    return found


# Numbers


def test_totals(page: str) -> None:
    """Of the first six, web1 and lab_1 are up to date, and db1 has no patches."""
    assert told(page) == {
        "Servers": 30,
        "Active": 19,
        "Silent": 11,
        "Up to date": 10,
        "Behind": 8,
        "Not supported": 1,
    }


def test_every_number_leads_to_as_many_servers(page: str, reader: TestClient) -> None:
    found = numbers(page)
    assert len(found) > 100
    for query, number in found:
        answer = reader.get(f"{SERVERS}?{query}&only_count=true").json()
        assert answer["count"] == number, query


def test_products(page: str) -> None:
    """The key K-test has two products, K-kernel one, and K-main the usual ones."""
    lines = {line[0]: line[1:] for line in cells(page, "Products")}
    assert lines["KernelCare"] == ["30", "19", "11", "10", "8", "1"]
    assert lines["LibCare"][:3] == ["18", "11", "7"]
    assert all("not known" in told for told in lines["LibCare"][3:])


def test_systems_beyond_the_first_ten(page: str, reader: TestClient) -> None:
    lines = cells(page, "Operating systems")[2:]
    assert len(lines) == 12
    assert lines[0][:2] == ["not known", "4"]
    assert [int(line[1]) for line in lines[:10]] == sorted(
        (int(line[1]) for line in lines[:10]), reverse=True
    )
    assert lines[10][0] == "4 others"
    assert [line[1] for line in lines[-2:]] == ["8", "30"]
    address = next(href for href, text in links(page) if text == "4 others")
    whole = reader.get(address)
    assert whole.status_code == 200
    every = cells(whole.text, "Operating systems")[2:]
    assert len(every) == 15
    assert every[-1][:2] == ["Total", "30"]
    for query, number in numbers(whole.text):
        assert reader.get(f"{SERVERS}?{query}&only_count=true").json()["count"] == number, query
    assert reader.get("/admin/overview/hostname").status_code == 404


def test_uptimes(page: str) -> None:
    """Servers have been up for 0, 30, 60 ... 690 days and an hour, and for 9, 10 and 400 days."""
    found = {text.rpartition(": ")[2]: text.partition(" ")[0] for _, text in links(page)}
    assert found["Under 6 months"] == "9"
    assert found["6 to 12 months"] == "6"
    assert found["12 to 18 months"] == "7"
    assert found["Over 18 months"] == "5"
    lengths = [(href, text) for href, text in links(page) if text.endswith("days")]
    assert lengths == [
        ("/admin/servers?uptime_min=690", "690 days"),
        ("/admin/servers?uptime_min=322", "322 days"),
        ("/admin/servers?uptime_min=330", "330 days"),
    ]


def test_this_week(page: str) -> None:
    _, _, week = page.partition('id="t-week"')
    found = [text for _, text in links(week)]
    assert found[:5] == [
        "K20260401_01",
        "K20260301_01",
        "K20260201_01",
        "K20260101_01",
        "10",
    ]
    removed = [(href, text) for href, text in links(week) if href.startswith("/admin/log?")]
    ((href, text),) = removed
    assert (href.startswith("/admin/log?table=server&since="), text) == (True, "1")


def test_what_is_older_than_a_week_is_not_new(fleet: Fleet) -> None:
    with db.database.atomic() as transaction:
        Change.update(clock=Change.clock - 8 * DAY * 1_000_000).execute()
        db.execute("UPDATE patchset SET appeared = appeared - ?", (8 * DAY * 1_000_000,))
        db.execute("UPDATE feed_patchset SET since = since - ?", (8 * DAY * 1_000_000,))
        patchsets.disable(fleet.portal, KERNEL, "K20260301_01", "main")
        patchsets.enable(fleet.portal, KERNEL, "K20260301_01", "main")
        removed = count(fleet.portal).removed
        found = new_patchsets(fleet.portal, fleet_totals.since())
        transaction.rollback()
    assert removed == 0
    ((product, new),) = found
    assert product == KERNEL
    assert new == [NewPatchset("K20260301_01", None, ("main",))]


def test_few_servers_are_counted_as_they_are_now(fleet: Fleet, reader: TestClient) -> None:
    name = "app23"
    up(fleet, name, 5000 * DAY)
    try:
        assert "5,000 days" in reader.get("/admin/").text
    finally:
        up(fleet, name, 23 * 30 * DAY + 4000)
    assert "5,000 days" not in reader.get("/admin/").text


def test_pages_are_small(reader: TestClient) -> None:
    assert len(gzip.compress(reader.get("/admin/").content)) < 20_000


# Many servers


def test_many_servers_are_counted_aside(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes first is told so, and sees the numbers a moment later."""
    monkeypatch.setattr(fleet_totals, "SMALL", 0)
    go_on = threading.Event()
    real = fleet_totals.count

    def slow(portal: Portal) -> Any:
        assert go_on.wait(20)
        return real(portal)

    monkeypatch.setattr(fleet_totals, "count", slow)
    client = browser_of(fleet.portal)
    log_in(client, "bert")
    first = client.get("/admin/")
    assert (first.status_code, "The servers are being counted" in first.text) == (200, True)
    assert 'http-equiv="refresh"' in first.text
    go_on.set()
    eventually(lambda: told(client.get("/admin/").text).get("Servers") == 30)


def test_many_servers_are_counted_once_a_minute(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_totals, "SMALL", 0)
    counting = Counting(fleet.portal)
    counting.begin()
    first = counting.totals()
    assert counting.known() is first
    assert counting.totals() is first
    first.time -= fleet_totals.FRESH + 1
    assert counting.known() is first
    eventually(lambda: counting.known() is not first)
    later = counting.totals()
    # A clock that was set back.
    later.time += 3600
    counting.known()
    eventually(lambda: counting.known() is not later)


@pytest.mark.parametrize("silent", [0, 5, 25, 30])
def test_the_fewer_are_looked_at(fleet: Fleet, silent: int) -> None:
    """However many are silent, the numbers are those of a look at each."""
    with db.database.atomic() as transaction:
        for place, name in enumerate(fleet.id_of):
            if name != "gone":
                fleet.heard(name, 10 * DAYS if place < silent else 0 * DAYS)
        totals = count(fleet.portal)
        transaction.rollback()
    assert totals.of_state("inactive") == silent
    assert (
        sum(totals.kinds[key] for key in totals.kinds if key[0] == "machine" and not key[2]) == 30
    )
    assert (
        sum(
            totals.kinds[key] for key in totals.kinds if (key[0], *key[2:]) == ("euname", "", False)
        )
        == silent
    )


# Parts


def test_nobody_told_an_uptime() -> None:
    empty = Uptimes()
    assert (empty.servers, empty.average, empty.median, empty.between(0, None)) == (0, 0, 0, 0)


@pytest.mark.parametrize(("hours", "median"), [([5], 5), ([1, 9], 9), ([1, 2, 9], 2)])
def test_median(hours: list[int], median: int) -> None:
    uptimes = Uptimes()
    uptimes.hours.update(hours)
    assert uptimes.median == median * 3600


def test_segments_are_a_whole_circle() -> None:
    parts = [(str(number), number, "", "") for number in (1, 0, 2)]
    found = donut.segments(parts)
    assert [(each.start, each.share) for each in found] == [
        (0.0, 33.333),
        (33.333, 0.0),
        (33.333, 66.667),
    ]
    assert [each.share for each in donut.segments([("none", 0, "", "")])] == [0.0]
