"""Who may call the admin side, and how users find what plugins bring to it."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from eportal_core import AccessDenied, Identity, Page, Portal, hookimpl
from eportal_core.admin.app import admin_app
from eportal_core.errors import PluginError
from tests.support.commands import CommandLine
from tests.support.plugins import Installed, opened

WRONG = "The name or the password is wrong."
Serve = Callable[[], AbstractContextManager[TestClient]]


class Backend:
    """Knows some users and their passwords, and remembers who was asked for."""

    def __init__(self, name: str, **users: str) -> None:
        self.name = name
        self.users = users
        self.asked: list[tuple[str, str]] = []

    @hookimpl
    def eportal_authenticate(self, portal: Portal, username: str, password: str) -> Identity | None:
        self.asked.append((username, password))
        if username not in self.users:
            return None
        if password != self.users[username]:
            raise AccessDenied(f"{self.name} says no.")
        return Identity(username, self.name, readonly=username != "root")


class LastBackend(Backend):
    """As one behind the network: those that need none are asked before it."""

    @hookimpl(trylast=True)
    def eportal_authenticate(self, portal: Portal, username: str, password: str) -> Identity | None:
        return super().eportal_authenticate(portal, username, password)


class Links:
    def __init__(self, *pages: Page) -> None:
        self.pages = pages

    @hookimpl
    def eportal_navigation(self, portal: Portal) -> tuple[Page, ...]:
        return self.pages


@pytest.fixture
def admin(installed: Installed, data_dir: Path) -> Serve:
    """Serves the admin side with what is installed by then."""

    @contextmanager
    def serve() -> Iterator[TestClient]:
        app = admin_app(opened(installed.load(), data_dir))
        with TestClient(app, raise_server_exceptions=False) as client:
            yield client

    return serve


def basic(username: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{username}:{password}'.encode()).decode()}"}


@pytest.mark.parametrize(
    ("credentials", "sentence"),
    [
        ({}, "This is for users: log in, or send"),
        ({"Authorization": "Bearer YW5uYTpzZWNyZXQ="}, "This is for users: log in, or send"),
        ({"Authorization": "Basic"}, WRONG),
        ({"Authorization": "Basic %%%%"}, "The credentials cannot be read."),
        ({"Authorization": "Basic YW5uYTpzZWNyZXQ"}, "The credentials cannot be read."),
        ({"Authorization": "Basic /////w=="}, "The credentials cannot be read."),
        ({"Authorization": "Basic \xe9\xff".encode("latin-1")}, "The credentials cannot be read."),
        (basic("anna", ""), WRONG),
        (basic("", "secret"), WRONG),
        (basic("", ""), WRONG),
    ],
    ids=[
        "none",
        "scheme",
        "empty",
        "alphabet",
        "padding",
        "text",
        "bytes",
        "password",
        "name",
        "both",
    ],
)
def test_what_is_no_name_and_password_reaches_no_backend(
    installed: Installed, admin: Serve, credentials: dict[str, str | bytes], sentence: str
) -> None:
    backend = Backend("file", anna="")
    installed.plugin("file", backend)
    with admin() as client:
        answer = client.get("/admin/api/whoami", headers=credentials)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="ePortal"'
    assert answer.json()["error"] == "access-denied"
    assert sentence in answer.json()["detail"]
    assert backend.asked == []


@pytest.mark.parametrize("password", ["secret", "with:colons:", "pä55 wörd", " "])
def test_a_user_is_known_by_name_and_password(
    installed: Installed, admin: Serve, password: str
) -> None:
    installed.plugin("file", Backend("file", anna=password, root=password))
    with admin() as client:
        assert client.get("/admin/api/whoami", headers=basic("anna", password)).json() == {
            "username": "anna",
            "backend": "file",
            "readonly": True,
            "means": "password",
        }
        headers = {"Authorization": basic("root", password)["Authorization"].replace("Bas", "bAS")}
        assert client.get("/admin/api/whoami", headers=headers).json()["readonly"] is False
        assert client.get("/admin/api/whoami", headers=basic("anna", "x")).status_code == 401


def test_a_name_that_one_backend_does_not_know_is_asked_of_the_next(
    installed: Installed, admin: Serve
) -> None:
    first, last = Backend("file", anna="a"), LastBackend("ldap", anna="b", bert="b")
    # Installed the other way round: their marks count.
    installed.plugin("one", last)
    installed.plugin("two", first)
    with admin() as client:
        answer = client.get("/admin/api/whoami", headers=basic("bert", "b"))
        assert answer.json()["backend"] == "ldap"
        assert client.get("/admin/api/whoami", headers=basic("carl", "c")).json() == {
            "error": "access-denied",
            "detail": WRONG,
        }
    assert first.asked == last.asked == [("bert", "b"), ("carl", "c")]


def test_a_wrong_password_is_tried_on_no_other_backend(installed: Installed, admin: Serve) -> None:
    first, last = Backend("file", anna="a"), LastBackend("ldap", anna="b")
    installed.plugin("one", first)
    installed.plugin("two", last)
    with admin() as client:
        answer = client.get("/admin/api/whoami", headers=basic("anna", "b"))
    assert answer.status_code == 401
    assert answer.json()["detail"] == "file says no."
    assert last.asked == []


def test_a_backend_that_fails_lets_nobody_in(
    installed: Installed, admin: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    class Fails:
        @hookimpl(tryfirst=True)
        def eportal_authenticate(self, portal: Portal, username: str, password: str) -> None:
            raise ZeroDivisionError("division by zero")

    installed.plugin("fails", Fails())
    installed.plugin("file", Backend("file", anna="a"))
    with admin() as client:
        answer = client.get("/admin/api/whoami", headers=basic("anna", "a"))
    assert answer.status_code == 500
    assert answer.json() == {
        "error": "plugin",
        "detail": "Users cannot be looked up; the portal's log says why.",
    }
    assert "eportal_authenticate failed in one of fails, file: ZeroDivisionError" in caplog.text


def test_a_portal_without_backends_lets_nobody_in(admin: Serve) -> None:
    with admin() as client:
        assert client.get("/admin/api/whoami", headers=basic("anna", "a")).status_code == 401


def test_pages_are_links_by_title(installed: Installed, admin: Serve) -> None:
    installed.plugin("one", Links(Page("zeta", "/admin/z"), Page("Beta", "/admin/b")))
    installed.plugin("two", Links(Page("alpha", "/admin/a")))
    with admin() as client:
        text = client.get("/admin/").text
    _, _, below = text.partition("<nav")
    links = re.findall('<a href="(.+?)">(.+?)</a>', below)
    assert links == [("/admin/a", "alpha"), ("/admin/b", "Beta"), ("/admin/z", "zeta")]


def test_no_page_is_no_list_of_pages(admin: Serve) -> None:
    with admin() as client:
        assert "<nav" not in client.get("/admin/").text


def test_what_a_page_says_is_text_and_no_markup(installed: Installed, admin: Serve) -> None:
    installed.plugin("one", Links(Page("<b>R&D</b> {total}", '/admin/"><script>')))
    with admin() as client:
        text = client.get("/admin/").text
    assert "&lt;b&gt;R&amp;D&lt;/b&gt; {total}</a>" in text
    assert 'href="/admin/&#34;&gt;&lt;script&gt;"' in text
    assert "<script>" not in text


@pytest.mark.parametrize(
    ("one", "two", "sentence"),
    [
        (
            Page("Fans", "/admin/one"),
            Page("Fans", "/admin/two"),
            "The page 'Fans' is brought by plugin one and by plugin two; uninstall or rename one.",
        ),
        (
            Page("Fans", "/admin/fans"),
            Page("Vents", "/admin/fans"),
            "The page /admin/fans is brought by plugin one and by plugin two; "
            "uninstall or rename one.",
        ),
        (
            Page("Fans", "/admin/fans"),
            Page("Vents", "https://example.com/admin/"),
            "Plugin two brings the page https://example.com/admin/, not below /admin.",
        ),
        (
            Page("Fans", "/admin/fans"),
            Page("Vents", "/administrator"),
            "Plugin two brings the page /administrator, not below /admin.",
        ),
    ],
    ids=["title", "path", "host", "prefix"],
)
def test_a_page_that_cannot_be_linked_stops_the_start(
    installed: Installed, data_dir: Path, one: Page, two: Page, sentence: str
) -> None:
    installed.plugin("one", Links(one))
    installed.plugin("two", Links(two))
    with pytest.raises(PluginError) as refusal:
        admin_app(opened(installed.load(), data_dir))
    assert str(refusal.value) == sentence


@pytest.mark.parametrize("name", ["X Api Key", "Cookie", "authorization", "X-Key:"])
def test_a_header_that_says_something_else_stops_the_start(cli: CommandLine, name: str) -> None:
    done = cli("serve", EPORTAL_API_AUTH_HEADER=name)
    assert done.returncode == 2
    assert f"API_AUTH_HEADER is {name!r}: a header of its own is meant" in done.stderr
