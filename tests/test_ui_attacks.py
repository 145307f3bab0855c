"""What a hostile browser, colleague or server tries at the pages of the web UI."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient
from starlette.types import Message

from eportal_core import db
from eportal_core.admin.app import admin_app
from eportal_core.admin.cookies import COOKIE
from eportal_core.admin.csv import csv_of
from eportal_core.admin.ui import deploy, servers, tasks, user_log, visit
from eportal_core.auth import sessions
from eportal_core.config import Config, load
from eportal_core.models import Actor, FeedPatchset, Patchset, acting
from eportal_core.operations import api_keys, feeds, keys, patchsets, settings, users
from eportal_core.operations import servers as fleet
from eportal_core.plugins import load as load_plugins
from eportal_core.portal import Portal, open_portal
from tests.support.logins import PASSWORD
from tests.support.patches import KERNEL, WEB, archive

ORIGIN = "http://127.0.0.1"
TOKEN = "starlette_admin_csrftoken"
UPLOAD = "/admin/patchsets/kcare/deploy/upload"
SOURCE = "/admin/settings/source"
NAME = "K20260501_01"
#: More than any page has to say, bytes.
LARGE = 1024 * 1024


class Browser:
    """Of a user who is logged in."""

    def __init__(self, portal: Portal, app: Any, name: str) -> None:
        self.portal, self.app, self.name = portal, app, name
        self.client = TestClient(app, ORIGIN, follow_redirects=False, raise_server_exceptions=False)
        self.log_in()

    def log_in(self) -> None:
        user = users.get(self.name)
        token = sessions.begin(self.portal.config, user, "127.0.0.1", "test")
        self.client.cookies.set(COOKIE, token)

    def get(self, path: str, **options: Any) -> Any:
        return self.client.get(path, **options)

    def post(self, path: str, **fields: Any) -> Any:
        if TOKEN not in self.client.cookies:
            self.get("/admin/feeds")
        data = {"csrftoken": self.client.cookies[TOKEN], **fields}
        return self.client.post(path, data=data, headers={"Origin": ORIGIN})

    def upload(self, parts: AsyncIterator[bytes]) -> str:
        """Send a form in ``parts``; the address to which the browser is led."""
        sent: list[Message] = []

        async def receive() -> Message:
            try:
                return {"type": "http.request", "body": await anext(parts), "more_body": True}
            except StopAsyncIteration:
                return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": UPLOAD,
            "raw_path": UPLOAD.encode(),
            "query_string": b"",
            "root_path": "",
            "client": ("127.0.0.1", 5000),
            "server": ("127.0.0.1", 80),
            "headers": [
                (b"host", b"127.0.0.1"),
                (b"origin", ORIGIN.encode()),
                (b"cookie", f"{COOKIE}={self.client.cookies[COOKIE]}".encode()),
                (b"content-type", b"multipart/form-data; boundary=edge"),
            ],
        }
        asyncio.run(asyncio.wait_for(self.app(scope, receive, send), 20))
        return dict(sent[0]["headers"])[b"location"].decode()


@pytest.fixture
def portal(data_dir: Path, request: pytest.FixtureRequest) -> Iterator[Portal]:
    """One whose settings can be changed; its parameter is more of its environment."""
    plugins = load_plugins()
    environ = {
        "EPORTAL_DATA_DIR": str(data_dir),
        "EPORTAL_ARCHIVE_MAX_BYTES": str(4 * LARGE),
        **getattr(request, "param", {}),
    }
    portal = open_portal(load(plugins.settings(), environ), plugins)
    with db.connection():
        yield portal
    db.close()


@pytest.fixture
def app(portal: Portal) -> Iterator[Any]:
    users.add(portal, "anna", PASSWORD, readonly=False)
    users.add(portal, "rob", PASSWORD, readonly=True)
    keys.add(portal, "K")
    app = admin_app(portal)
    with TestClient(app):
        yield app


@pytest.fixture
def anna(portal: Portal, app: Any) -> Browser:
    return Browser(portal, app, "anna")


@pytest.fixture
def rob(portal: Portal, app: Any) -> Browser:
    return Browser(portal, app, "rob")


def sentence(page: str) -> str:
    """What a page of an error says."""
    found = re.search(r'role="alert">(.*?)</p>', page, re.DOTALL)
    assert found is not None, page
    return found[1]


# Who may come


@pytest.mark.parametrize("path", ["/admin/", "/admin/nothing", "/admin/keys"])
def test_an_api_key_sees_no_page(portal: Portal, app: Any, path: str) -> None:
    _, token = api_keys.add(portal, "anna", "of one feed", feed_names=["main"])
    client = TestClient(app, ORIGIN, follow_redirects=False)
    answer = client.get(path, headers={"X-Api-Key": token})
    assert answer.status_code == 403
    assert "API keys are for /admin/api" in answer.text


@pytest.mark.parametrize("fields", [{}, {"csrftoken": "x"}], ids=["missing", "forged"])
def test_a_form_without_its_token_is_told_in_a_page(anna: Browser, fields: dict[str, str]) -> None:
    answer = anna.client.post("/admin/keys/add", data={"key": "K9", **fields})
    assert answer.status_code == 403
    assert answer.headers["content-type"].startswith("text/html")
    assert "This form is too old" in sentence(answer.text)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=edge", b"--edge\r\nnothing"),
        ("application/x-www-form-urlencoded", b"server=x&" * 5000),
        ("application/x-www-form-urlencoded", b"x" * 2_000_000),
    ],
)
def test_a_form_that_cannot_be_read_is_told_in_a_page(
    anna: Browser, kind: str, body: bytes
) -> None:
    answer = anna.client.post("/admin/keys/add", content=body, headers={"Content-Type": kind})
    assert answer.status_code in (400, 403, 413)
    assert answer.status_code == 413 or sentence(answer.text)


def test_who_logs_in_again_is_led_to_a_page(app: Any) -> None:
    """What was posted cannot be gone to."""
    client = TestClient(app, ORIGIN, follow_redirects=False)
    client.get("/admin/nothing")
    for path, onward in (("/admin/jobs/run", "/admin/"), ("/admin/keys/add", "/admin/keys/add")):
        answer = client.post(path, data={"csrftoken": client.cookies[TOKEN]})
        assert answer.headers["location"] == f"/admin/login?next={onward}"


# What is large


def test_a_page_does_not_grow_with_the_square_of_its_address(rob: Browser) -> None:
    for name in ("ip", "tag", "kernel_id"):
        query = "&".join(f"{name}={number}" for number in range(4000))
        answer = rob.get(f"/admin/servers?{query}")
        assert answer.status_code == 400
        assert len(answer.content) < LARGE
    answer = rob.get(f"/admin/servers?patchset={'x' * 50_000}")
    assert len(answer.content) < LARGE


@pytest.mark.parametrize(
    "query",
    [
        "/admin/log?since=0001-01-01T00:00%2B23:59",
        "/admin/log?until=9999-12-31T23:59-23:59",
        "/admin/log?before=99999999999999999999",
        "/admin/servers?offset=-1",
        "/admin/servers?offset=%D9%A1",
        "/admin/servers?offset=" + "9" * 5000,
        "/admin/servers?limit=" + "9" * 400,
        "/admin/servers?uptime_min=" + "9" * 400,
        "/admin/servers?behind=99999999999999999999",
        "/admin/servers?search=%ED%A0%80",
        "/admin/servers?cursor=" + "A" * 5000,
        "/admin/patchsets/kcare?page=" + "9" * 400,
        "/admin/patchsets/kcare?page=-99999999999999999999999",
        "/admin/docs/?key=%ED%A0%80",
        "/admin/tags?after=%F0%9F%92%A9&before=x",
        "/admin/overview/%0a",
        "/admin/tasks/%ff",
    ],
)
def test_nothing_in_an_address_is_an_error_of_ours(rob: Browser, query: str) -> None:
    assert rob.get(query).status_code < 500


def test_a_redirect_keeps_what_a_page_was_asked_for(rob: Browser) -> None:
    answer = rob.get("/admin/servers/?key=K")
    assert answer.headers["location"] == "/admin/servers?key=K"


def test_one_readonly_user_takes_one_place_alone(
    rob: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may only look keeps nobody from working."""
    go = threading.Event()
    verify = user_log.user_log.verify

    def slowly(expected: str = "") -> Any:
        assert go.wait(20)
        return verify(expected)

    monkeypatch.setattr(user_log.user_log, "verify", slowly)
    monkeypatch.setattr(tasks, "_PATIENCE", 0.0)
    try:
        assert rob.post("/admin/log/verify").status_code == 303
        answer = rob.post("/admin/log/verify")
        assert answer.status_code == 409
        assert "One of yours" in sentence(answer.text)
    finally:
        go.set()


# What ends meanwhile


def form(tmp_path: Path) -> bytes:
    content = archive(tmp_path, NAME, {WEB: 5}).read_bytes()
    head = 'Content-Disposition: form-data; name="archive"; filename="' + f'{NAME}.tar.bz2"'
    return b"\r\n".join([b"--edge", head.encode(), b"", content, b"--edge--", b""])


def told(browser: Browser, address: str) -> str:
    page = browser.get(address).text
    while "data-task" in page:
        page = browser.get(address).text
    found = re.search(r'class="alert alert-\w+" role="\w+">(.*?)</div>', page, re.DOTALL)
    assert found is not None, page
    return found[1]


def test_an_upload_is_deployed(anna: Browser, tmp_path: Path) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield form(tmp_path)

    assert "was deployed" in told(anna, anna.upload(parts()))


def test_a_session_that_ends_while_an_archive_comes_deploys_nothing(
    anna: Browser, tmp_path: Path
) -> None:
    async def parts() -> AsyncIterator[bytes]:
        body = form(tmp_path)
        yield body[:-100]
        sessions.end_all("anna")
        yield body[-100:]

    address = anna.upload(parts())
    anna.log_in()
    assert told(anna, address) == "This page is for users who have logged in."
    assert not Patchset.select().exists()


def test_an_upload_that_stalls_gives_its_place_back(
    anna: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "_STALLED", 0.05)

    async def parts() -> AsyncIterator[bytes]:
        yield b"--edge\r\n"
        await asyncio.sleep(30)

    assert "send the archive again" in told(anna, anna.upload(parts()))


def test_an_upload_ends_at_its_limit_whatever_it_is_made_of(anna: Browser) -> None:
    """What follows a form is no part of the file, and would be read for ever."""
    came = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal came
        yield b"--edge--\r\n"
        while came < 8:
            came += 1
            yield b"x" * 1024 * 1024

    assert "larger than" in told(anna, anna.upload(parts()))


@pytest.mark.parametrize(
    ("path", "module"),
    [("/admin/log/export?form=csv", user_log), ("/admin/servers/export", servers)],
)
def test_an_export_ends_with_the_session(
    rob: Browser, portal: Portal, path: str, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        fleet.register(portal, "K", f"web{number}", "10.0.0.1")
    monkeypatch.setattr(module, "_PIECE", 1)
    whole = len(rob.get(path).text.splitlines())
    assert whole > 30
    asked, caller_of = 0, visit.caller_of

    def ending(*arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 10:
            sessions.end_all("rob")
        return caller_of(*arguments)

    monkeypatch.setattr(visit, "caller_of", ending)
    assert len(rob.get(path).text.splitlines()) < 15


# What was agreed to


def hidden(page: str, name: str) -> str:
    found = re.search(f'name="{name}" value="([^"]*)"', page)
    assert found is not None, page
    return found[1]


@pytest.mark.parametrize(
    ("path", "what"),
    [("/admin/keys/remove", {"key": "K1"}), ("/admin/feeds/remove", {"name": "trial"})],
)
def test_what_grew_since_it_was_asked_is_asked_again(
    anna: Browser, portal: Portal, path: str, what: dict[str, str]
) -> None:
    feeds.add(portal, "trial")
    keys.add(portal, "K1", feed="trial")
    fleet.register(portal, "K1", "web1", "10.0.0.1")
    told = hidden(anna.get(path, params=what).text, "told")
    fleet.register(portal, "K1", "web2", "10.0.0.1")
    answer = anna.post(path, **what, told=told)
    assert answer.status_code == 200
    assert "2 servers" in answer.text
    assert keys.get("K1").feed_id == "trial"
    for nonsense in ("", "-1", "x", "9" * 5000):
        anna.post(path, **what, told=nonsense)
        assert keys.get("K1").feed_id == "trial"
    assert anna.post(path, **what, told=hidden(answer.text, "told")).status_code == 303


def test_other_choices_than_were_shown_are_not_applied(
    anna: Browser, portal: Portal, tmp_path: Path
) -> None:
    """Without a script, a preview stands there while somebody chooses something else."""
    feeds.add(portal, "test")
    patchsets.deploy(portal, KERNEL, archive(tmp_path, NAME, {WEB: 1}), enable=False)
    manage = f"/admin/patchsets/kcare/{NAME}"
    led = anna.post(f"{manage}/choose", **{"do.main": "enable", "do.test": ""})
    assert led.headers["location"] == f"{manage}/manage?do.main=enable"
    page = anna.get(led.headers["location"]).text
    agreed = {"mark": hidden(page, "mark"), "shown": hidden(page, "shown")}
    for other in ({"do.test": "enable"}, {"do.main": "enable", "do.test": "enable"}):
        answer = anna.post(f"{manage}/manage", **agreed, **other)
        assert answer.status_code == 422
        assert "You chose something else since" in answer.text
    assert not FeedPatchset.select().where(FeedPatchset.state == "enabled").exists()
    answer = anna.post(f"{manage}/manage", **agreed, **{"do.main": "enable"})
    assert answer.status_code == 303
    assert FeedPatchset.get(feed="main").state == "enabled"


# What is secret


@pytest.fixture
def saved(portal: Portal) -> Config:
    settings.put_all(
        portal,
        {
            "PATCH_SOURCE_URL": "https://patches.example.com/a",
            "PATCH_SOURCE_USER": "us",
            "PATCH_SOURCE_PASSWORD": "a secret thing",
        },
    )
    return portal.config


@pytest.mark.parametrize(
    "address",
    [
        "https://elsewhere.example.com/a",
        "https://patches.example.com:444/a",
        "http://patches.example.com/a",
        "https://patches.example.com.evil.example/a",
    ],
)
def test_a_saved_password_goes_to_no_other_host(anna: Browser, saved: Config, address: str) -> None:
    fields = {"PATCH_SOURCE_URL": address, "PATCH_SOURCE_USER": "us"}
    answer = anna.post(SOURCE, **fields)
    assert answer.status_code == 422
    assert "names another host, which would get the PATCH_SOURCE_PASSWORD" in answer.text
    assert "a secret thing" not in answer.text
    assert saved["PATCH_SOURCE_URL"] == "https://patches.example.com/a"
    assert anna.post(SOURCE, **fields, forget_PATCH_SOURCE_PASSWORD="true").status_code == 303
    assert (saved["PATCH_SOURCE_URL"], saved["PATCH_SOURCE_PASSWORD"]) == (address, None)


@pytest.mark.parametrize("portal", [{"EPORTAL_PATCH_SOURCE_PASSWORD": "a secret"}], indirect=True)
def test_a_password_of_the_environment_goes_to_no_other_host(anna: Browser) -> None:
    """Whoever may set the address here may not learn it so."""
    answer = anna.post(SOURCE, PATCH_SOURCE_URL="https://elsewhere.example.com")
    assert answer.status_code == 422
    assert "change the environment and restart the portal" in answer.text


def test_a_saved_password_waits_for_no_host(anna: Browser, saved: Config) -> None:
    """Nor does the way by no address at all, or by a directory, lead it there."""
    for between in ("", "/srv/patches"):
        assert anna.post(SOURCE, PATCH_SOURCE_URL=between).status_code == 303
        answer = anna.post(SOURCE, PATCH_SOURCE_URL="https://elsewhere.example.com")
        assert answer.status_code == 422
    assert saved["PATCH_SOURCE_PASSWORD"] == "a secret thing"


def test_another_path_of_the_same_host_keeps_the_password(anna: Browser, saved: Config) -> None:
    answer = anna.post(SOURCE, PATCH_SOURCE_URL="https://PATCHES.example.com/b")
    assert answer.status_code == 303
    assert saved["PATCH_SOURCE_PASSWORD"] == "a secret thing"


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"])
def test_no_cell_of_a_file_is_a_formula(first: str) -> None:
    class Row(msgspec.Struct):
        cell: str

    (_, line) = csv_of(Row, [[Row(f"{first}cmd()")]])
    assert line.decode().lstrip('"').startswith("'")


# The log


def test_one_stroke_is_one_line_of_the_log(rob: Browser, portal: Portal) -> None:
    with acting(Actor("eva", "192.0.2.7", "session")), db.database.atomic():
        for number in range(120):
            keys.add(portal, f"N{number:03}")
    page = rob.get("/admin/log").text
    assert "120 entries" in page
    assert "N119" in page
    assert "N000" in page
    assert page.count("<tr>") - 1 < 20


def test_no_entry_is_lost_between_pages_of_the_log(rob: Browser, portal: Portal) -> None:
    with acting(Actor("eva", "192.0.2.7", "session")), db.database.atomic():
        for number in range(700):
            keys.add(portal, f"N{number:03}")
            if number % 100 < 30:
                keys.change(portal, f"N{number:03}", note="x")
    address, seen = "/admin/log?user=eva", set[str]()
    while address:
        page = rob.get(address).text
        seen |= set(re.findall(r">(N\d+)</a>", page))
        older = re.search(r'rel="next" href="([^"]*)"', page)
        address = unescape(older[1]) if older else ""
    assert len(seen) == 700
