"""Many servers changed by one click: a task with its page, its end, and what ends it early."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest
from starlette.testclient import TestClient

from eportal_core.admin.app import admin_app
from eportal_core.admin.ui import tasks
from eportal_core.auth import sessions
from eportal_core.models import Change, Facts
from eportal_core.operations import keys, many_servers, servers, users
from eportal_core.portal import Portal

SERVERS = 5
SECONDS = 20


@pytest.fixture
def browser(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """An administrator's, at a portal where each server is a lot and no answer waits."""
    monkeypatch.setattr(tasks, "_PATIENCE", 0.0)
    monkeypatch.setattr(many_servers, "LOT", 1)
    keys.add(portal, "K")
    for number in range(SERVERS):
        server = servers.register(portal, "K", f"web{number}", "10.0.0.1")
        servers.set_tags(portal, server.id, "old")
    user = users.add(portal, "anna", "correct horse battery", readonly=False)
    token = sessions.begin(portal.config, user, "127.0.0.1", "test")
    with TestClient(admin_app(portal), base_url="http://127.0.0.1") as client:
        client.cookies.set("eportal_session", token)
        yield client


def rename(browser: TestClient, name: str) -> Any:
    page = browser.get("/admin/tags/rename?tag=old").text
    token = re.search(r'name="csrftoken" value="([^"]+)"', page)
    assert token is not None
    form = {"tag": "old", "name": name, "csrftoken": token[1]}
    headers = {"Origin": "http://127.0.0.1"}
    return browser.post("/admin/tags/rename", data=form, headers=headers, follow_redirects=False)


def followed(browser: TestClient, address: str) -> str:
    """The page of the task when it has ended."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        page: str = browser.get(address).text
        if "data-task" not in page:
            return page
        time.sleep(0.05)
    raise AssertionError("it does not end")


def test_its_page_tells_how_far_it_is_and_leads_on(
    browser: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on, change_tags = Event(), servers.change_tags

    def waiting(*arguments: Any) -> int:
        if Facts.select().where(Facts.tags == "new").count() == 2:
            assert may_go_on.wait(SECONDS)
        return change_tags(*arguments)

    monkeypatch.setattr(servers, "change_tags", waiting)
    answer = rename(browser, "new")
    address = answer.headers["location"]
    assert (answer.status_code, address.startswith("/admin/tasks/")) == (303, True)
    deadline = time.monotonic() + SECONDS
    while 'value="2" max="5"' not in (page := browser.get(address).text):
        assert time.monotonic() < deadline, page
    may_go_on.set()
    assert "Tag old of 5 servers is new now." in followed(browser, address)
    changes = Change.select().where(Change.table == "server", Change.actor == "anna")
    assert changes.count() == SERVERS


def test_what_ends_it_early_is_told_with_what_was_done(browser: TestClient, portal: Portal) -> None:
    last = Facts.select().order_by(Facts.registered.desc()).get().server_id
    servers.set_tags(portal, last, f"old;{'y' * 995}")
    address = rename(browser, "longer-than-before").headers["location"]
    page = followed(browser, address)
    assert "Tag old of 4 servers is longer-than-before now." in page
    assert "The tags may have 1000 printable characters at most." in page


def test_one_that_is_not_known_says_so(browser: TestClient) -> None:
    answer = browser.get("/admin/tasks/nothing")
    assert answer.status_code == 404
    assert "There is no such task" in answer.text
