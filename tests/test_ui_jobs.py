"""The user log, jobs and storage, as people look at them in a browser."""

from __future__ import annotations

import csv
import io
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from eportal_core import job_runs, user_log
from eportal_core.admin.ui import user_log as page_of_the_log
from eportal_core.models import Actor, Change, acting
from eportal_core.operations import feeds, keys, users
from eportal_core.types import Job
from tests.support.accessibility import findings
from tests.support.sources import archive
from tests.support.ui import Site, site

LOG, JOBS, STORAGE = "/admin/log", "/admin/jobs", "/admin/storage"
PAGES = (LOG, JOBS, STORAGE)
#: Three pages of the log, and some.
MANY = 160


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("jobs")
    with site(folder / "var") as served:
        work = folder / "work"
        work.mkdir()
        served.served.cli.ok(
            "kcare", "deploy", archive(work, "kernel", "K20260101_01", size=90_000)
        )
        with acting(Actor("eva", "192.0.2.7", "session")):
            feeds.add(served.portal, "staging")
            keys.add(served.portal, "PRAGUE", server_limit=5)
            keys.change(served.portal, "PRAGUE", server_limit=20, note="web", enabled=False)
            for number in range(MANY):
                keys.change(served.portal, "PRAGUE", note=f"=note {number}")
        users.change(served.portal, "rob", note="Looks <b>only</b>")
        yield served


def get(visitor: Any, path: str) -> Any:
    return visitor.page.request.get(f"{visitor.url}{path}")


def token(page: Any) -> dict[str, str]:
    (found,) = (cookie for cookie in page.context.cookies() if "csrf" in cookie["name"])
    return {"csrftoken": found["value"]}


def test_the_log_tells_changes_in_words(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(f"{LOG}?user=eva&key=PRAGUE&table=key")
    expect(page.locator("tbody tr")).to_have_count(50)
    newest = page.locator("tbody tr").first.inner_text()
    assert f"note: =note {MANY - 2} → =note {MANY - 1}" in newest
    assert "session, 192.0.2.7" in newest
    for _ in range(3):
        page.get_by_role("link", name="Older").click()
        page.wait_for_load_state()
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(MANY + 2 - 150)
    assert page.get_by_role("link", name="Older").count() == 0
    changed = rows.nth(-2).locator(".changes").inner_text().splitlines()
    assert sorted(changed) == [
        "enabled: yes → no",
        "note: nothing → web",
        "server limit: 5 → 20",
    ]
    rows.last.locator("summary").click()
    assert "server limit: 5" in rows.last.inner_text()
    page.get_by_role("link", name="Newest").click()
    page.wait_for_load_state()
    assert page.locator("tbody tr").first.inner_text() == newest
    visitor.check()


def test_the_log_is_filtered(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(LOG)
    page.get_by_label("Kind").select_option("user")
    page.wait_for_url(re.compile("table=user"))
    assert "Looks <b>only</b>" in page.locator("tbody").inner_text()
    assert "PRAGUE" not in page.locator("tbody").inner_text()
    page.get_by_role("link", name="Show all").click()
    page.get_by_label("Since (UTC)").fill("2100-01-01T00:00")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_load_state()
    assert "Nothing in the log meets these filters" in page.inner_text("main")
    page = visitor.open(f"{LOG}?until=2100-01-01T00:00")
    expect(page.locator("tbody tr")).to_have_count(50)
    page = visitor.open(f"{LOG}?since=yesterday", 422)
    assert visitor.told() == "since must be a time such as 2026-11-22T09:30."


@pytest.mark.parametrize("username", ["anna", "rob"])
def test_the_log_is_exported(here: Site, username: str) -> None:
    visitor = here.visitor(username)
    page = visitor.open(f"{LOG}?user=eva")
    path = page.get_by_role("link", name="Export CSV").get_attribute("href")
    answer = get(visitor, path)
    assert 'filename="user-log.csv"' in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text())))
    assert len(rows) == MANY + 3
    assert {row["actor"] for row in rows} == {"eva"}
    assert json.loads(rows[0]["changed"])["note"][1] == f"=note {MANY - 1}"
    path = page.get_by_role("link", name="Export JSON").get_attribute("href")
    entries = get(visitor, path).json()
    assert [str(entry["sequence"]) for entry in entries] == [row["sequence"] for row in rows]
    assert get(visitor, f"{LOG}/export?form=json&user=nobody").json() == []
    assert get(visitor, f"{LOG}/export?form=xml").status == 400


def test_an_export_is_more_than_one_piece(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    count = Change.select().count()
    monkeypatch.setattr(page_of_the_log, "_PIECE", 7)
    pieces = list(page_of_the_log._pieces(user_log.Filter()))
    assert [len(piece) for piece in pieces[:-1]] == [7] * (len(pieces) - 1)
    assert sum(map(len, pieces)) == count


def test_the_log_is_verified(here: Site) -> None:
    visitor = here.visitor("rob")
    page = visitor.open(LOG)
    page.get_by_role("button", name="Verify the log").click()
    page.wait_for_load_state()
    told = visitor.told()
    assert re.fullmatch(r"\d+ entries of the log are whole. The last digest is \w{64}.", told)
    digest = told.split()[-1].rstrip(".")
    page.get_by_label("A digest that was noted earlier").fill(digest)
    page.get_by_role("button", name="Verify the log").click()
    page.wait_for_load_state()
    assert "are whole" in visitor.told()
    page = visitor.open(LOG)
    page.get_by_label("A digest that was noted earlier").fill("0" * 64)
    page.get_by_role("button", name="Verify the log").click()
    page.wait_for_load_state()
    assert "No entry of the log has this digest" in visitor.told()
    visitor.check()


def test_a_job_is_run_now(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(JOBS)
    row = page.locator("tbody tr").filter(has_text="evict-cache")
    assert "hour" in row.inner_text()
    row.get_by_role("button").click()
    page.wait_for_load_state()
    assert visitor.told().startswith("evict-cache")
    row = page.locator("tbody tr").filter(has_text="evict-cache")
    expect(row.locator(".badge")).to_have_text("ok", timeout=10_000)
    visitor.check()


def test_a_job_that_goes_on_shows_its_end(here: Site) -> None:
    """It is run by another process, as ``kc.eportal jobs run`` does."""
    begun, may_end = threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        assert may_end.wait(60)
        return "it is done"

    job = Job("prune-log", 3600, work)
    data_dir = here.portal.config.data_dir
    thread = threading.Thread(target=job_runs.run, args=[job, data_dir])
    thread.start()
    try:
        assert begun.wait(30)
        visitor = here.visitor()
        page = visitor.open(JOBS)
        row = page.locator("tbody tr").filter(has_text="prune-log")
        expect(row.locator(".badge")).to_have_text("running")
        assert row.get_by_role("button").count() == 0
        answer = page.request.post(
            f"{visitor.url}{JOBS}/run", form={**token(page), "name": "prune-log"}
        )
        assert answer.status == 409
        assert "is running already" in answer.text()
    finally:
        may_end.set()
        thread.join(60)
    expect(row.locator(".badge")).to_have_text("ok", timeout=10_000)
    assert "it is done" in row.inner_text()
    assert row.locator("time[title]").count() >= 1
    visitor.check()


def test_there_is_no_such_job(here: Site) -> None:
    visitor = here.visitor()
    visitor.open(f"{JOBS}/row?name=nothing", 404)
    page = visitor.open(JOBS)
    answer = page.request.post(f"{visitor.url}{JOBS}/run", form={**token(page), "name": "x"})
    assert answer.status == 404


def test_storage_tells_what_takes_the_room(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(STORAGE)
    row = page.get_by_role("region", name="Room by product").locator("tbody tr")
    cells = row.filter(has_text="KernelCare").locator("td").all_inner_texts()
    assert cells[1] == "1"
    assert re.fullmatch(r"\d+\.\d KiB", cells[3])
    assert float(cells[3].split()[0]) > 80
    assert "Database" in page.inner_text("main")
    assert str(here.portal.config.data_dir) in page.inner_text("main")
    feed = page.get_by_role("region", name="Room by feed").locator("tbody tr")
    assert feed.filter(has_text="staging").locator("td").nth(1).inner_text() == "0 bytes"


def test_readonly_users_change_nothing(here: Site) -> None:
    visitor = here.visitor("rob")
    page = visitor.open(JOBS)
    assert page.get_by_role("button", name="Run now").count() == 0
    assert page.locator("tbody tr").count() >= 3
    answer = page.request.post(
        f"{visitor.url}{JOBS}/run", form={**token(page), "name": "evict-cache"}
    )
    assert answer.status == 403
    visitor.open(STORAGE)
    visitor.open(LOG)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("dark", [False, True])
def test_they_are_readable_by_all(here: Site, path: str, narrow: bool, dark: bool) -> None:
    visitor = here.visitor("anna", narrow=narrow, dark=dark)
    page = visitor.open(path)
    assert findings(page) == []
    visitor.picture(f"{Path(path).name}{'-narrow' * narrow}{'-dark' * dark}")
