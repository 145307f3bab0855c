"""Sessions: how a browser gets one, what it opens, and what ends it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.testclient import TestClient

from eportal_core import Caller, Identity, Page, Portal, db, hookimpl, lead_away, sign_in
from eportal_core.auth import api_keys, sessions
from eportal_core.models import ApiKey, Session, User, now
from eportal_core.operations import users
from tests.support.logins import PASSWORD, browser_of, log_in, with_users
from tests.support.opening import opened
from tests.support.plugins import Installed
from tests.support.serving import Served

WHOAMI = "/admin/api/whoami"
COOKIE = "eportal_session"


@pytest.fixture
def portal(data_dir: Path) -> Iterator[Portal]:
    with with_users(opened(data_dir)) as fresh:
        yield fresh


@pytest.fixture
def browser(portal: Portal) -> Iterator[TestClient]:
    with browser_of(portal) as client:
        yield client


def who(browser: TestClient) -> str:
    """The user whom the portal knows, empty for nobody."""
    answer = browser.get(WHOAMI)
    assert answer.status_code in (200, 401)
    name: str = answer.json().get("username", "")
    return name


def test_a_login_and_a_logout(browser: TestClient) -> None:
    page = browser.get("/admin/login", params={"next": "/admin/?a=1&b=2"})
    assert 'value="/admin/?a=1&amp;b=2"' in page.text
    answer = log_in(browser, next="/admin/?a=1&b=2")
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/?a=1&b=2")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert {"HttpOnly", "Path=/", "SameSite=lax"} == set(cookie.split("; ")[1:])
    assert browser.get(WHOAMI).json() == {
        "username": "anna",
        "backend": "local",
        "readonly": False,
        "means": "session",
    }
    # Who is logged in already need not do it again.
    assert browser.get("/admin/login").headers["location"] == "/admin/"

    token = browser.cookies[COOKIE]
    assert "<button>Log out</button>" in browser.get("/admin/logout").text
    assert who(browser) == "anna"
    assert browser.post("/admin/logout").headers["location"] == "/admin/login"
    assert COOKIE not in browser.cookies
    browser.cookies.set(COOKIE, token)
    assert who(browser) == ""
    assert browser.post("/admin/logout").status_code == 303


def test_each_login_is_a_session_of_its_own(browser: TestClient) -> None:
    browser.cookies.set(COOKIE, "chosen-by-somebody-else")
    log_in(browser)
    first = browser.cookies.get(COOKIE, domain="testserver.local")
    assert first != "chosen-by-somebody-else"
    browser.cookies.clear()
    browser.cookies.set(COOKIE, first)
    answer = log_in(browser, "bert")
    assert answer.status_code == 303
    # The one of before is over: this browser has a new one.
    browser.cookies.clear()
    browser.cookies.set(COOKIE, first)
    assert who(browser) == ""


def test_what_the_portal_keeps_opens_nothing(browser: TestClient) -> None:
    log_in(browser)
    token = browser.cookies[COOKIE]
    with db.connection():
        (session,) = Session.select()
        assert token not in str(session.__data__)
        browser.cookies.clear()
        browser.cookies.set(COOKIE, session.id)
    assert who(browser) == ""


@pytest.mark.parametrize("token", ["", "x", "é".encode().decode("latin-1"), "a" * 5000])
def test_a_cookie_that_is_none_of_a_session(browser: TestClient, token: str) -> None:
    answer = browser.get(WHOAMI, headers={"Cookie": f"{COOKIE}={token}".encode("latin-1")})
    assert answer.status_code == 401


def test_by_https_the_cookie_is_for_this_host_alone(portal: Portal) -> None:
    with browser_of(portal, "https://testserver") as browser:
        cookie = log_in(browser).headers["set-cookie"]
        assert cookie.startswith(f"__Host-{COOKIE}=")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} == set(cookie.split("; ")[1:])
        assert who(browser) == "anna"
        # A cookie that a page of plain http may have set is none.
        token = browser.cookies[f"__Host-{COOKIE}"]
        browser.cookies.clear()
        browser.cookies.set(COOKIE, token)
        assert who(browser) == ""


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("anna", "mistyped"),
        ("nobody", PASSWORD),
        ("", ""),
        ("anna", ""),
        ("", PASSWORD),
    ],
)
def test_a_wrong_login_does_not_tell_what_was_wrong(
    browser: TestClient, name: str, password: str
) -> None:
    answer = log_in(browser, name, password)
    assert answer.status_code == 403
    assert "The name or the password is wrong." in answer.text
    assert "www-authenticate" not in answer.headers
    assert "set-cookie" not in answer.headers
    assert password == "" or password not in answer.text


def test_what_was_typed_is_text_and_no_markup(browser: TestClient) -> None:
    answer = log_in(browser, '"><script>alert(1)</script>', "x")
    assert "<script>" not in answer.text
    assert "&quot;&gt;&lt;script&gt;" in answer.text


@pytest.mark.parametrize(
    "onward",
    ["https://evil.example.com", "//evil.example.com", "/adminevil", "/admin/\\evil", "/other", ""],
)
def test_a_login_leads_to_no_other_place(browser: TestClient, onward: str) -> None:
    assert log_in(browser, next=onward).headers["location"] == "/admin/"
    assert browser.get("/admin/login", params={"next": onward}).headers["location"] == "/admin/"


def test_a_huge_form_is_not_read(browser: TestClient) -> None:
    assert log_in(browser, password="x" * 100_000).status_code == 413


OTHER_SITE = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example.com"},
    {"Origin": "http://testserver.evil.example.com"},
    {"Origin": "http://testserver:8000"},
    {"Origin": "null"},
    {"Origin": "http://[broken"},
]
OWN_SITE = [
    {},
    {"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "http://testserver"},
    # By a proxy that speaks https and does not say so.
    {"Origin": "https://testserver"},
]


@pytest.mark.parametrize("headers", OTHER_SITE)
def test_pages_of_other_sites_may_send_nothing(
    browser: TestClient, headers: dict[str, str]
) -> None:
    form = {"username": "anna", "password": PASSWORD}
    assert browser.post("/admin/login", data=form, headers=headers).status_code == 403
    assert browser.post("/admin/logout", headers=headers).status_code == 403
    log_in(browser)
    answer = browser.delete("/admin/api/sessions", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
    assert browser.post("/admin/logout", headers=headers).status_code == 403
    assert who(browser) == "anna"
    browser.cookies.clear()
    # A browser that was asked for a password sends it along by itself, too.
    password = requests.auth._basic_auth_str("anna", PASSWORD)
    answer = browser.delete("/admin/api/sessions", headers={**headers, "Authorization": password})
    assert answer.status_code == 403
    # Links from other sites lead here all the same.
    assert browser.get("/admin/", headers=headers).status_code in (200, 302, 303, 307)


@pytest.mark.parametrize("headers", OWN_SITE)
def test_pages_of_ours_may(browser: TestClient, headers: dict[str, str]) -> None:
    form = {"username": "anna", "password": PASSWORD}
    assert browser.post("/admin/login", data=form, headers=headers).status_code == 303
    assert browser.delete("/admin/api/sessions", headers=headers).status_code == 200


def test_without_a_lifetime_a_session_ends_with_the_browser(browser: TestClient) -> None:
    assert "ax-age" not in log_in(browser).headers["set-cookie"]
    with db.connection():
        assert [row.expires for row in Session.select()] == [None]
        age = timedelta(days=7)
        Session.update(created=now() - 100 * age, seen=now() - age + timedelta(hours=1)).execute()
        assert who(browser) == "anna"
        # It was used, so that it has a week again.
        (session,) = Session.select()
        assert now() - session.seen < timedelta(minutes=1)
        Session.update(seen=now() - age).execute()
        assert who(browser) == ""
        log_in(browser, "bert")
        assert [row.user_id for row in Session.select()] == ["bert"]


@pytest.mark.parametrize("refresh", [False, True])
def test_a_lifetime_counts_from_the_login_or_from_the_last_use(
    data_dir: Path, refresh: bool
) -> None:
    settings = {"AUTH_SESSION_LIFETIME": 3600, "AUTH_REFRESH_SESSION": refresh}
    with with_users(opened(data_dir, **settings)) as portal, browser_of(portal) as browser:
        age = 400 * 24 * 3600 if refresh else 3600
        assert f"Max-Age={age};" in log_in(browser).headers["set-cookie"]
        with db.connection():
            soon = now() + timedelta(seconds=100)
            Session.update(expires=soon, seen=now() - timedelta(seconds=3500)).execute()
            assert who(browser) == "anna"
            (session,) = Session.select()
            assert (session.expires > now() + timedelta(seconds=3500)) == refresh
            Session.update(expires=now()).execute()
            assert who(browser) == ""


def test_a_clock_that_was_set_back_ends_no_session(browser: TestClient) -> None:
    log_in(browser)
    with db.connection():
        Session.update(seen=now() + timedelta(days=30)).execute()
        assert who(browser) == "anna"
        (session,) = Session.select()
        assert session.seen <= now()


def test_what_ends_the_sessions_of_a_user(portal: Portal, browser: TestClient) -> None:
    with db.connection():
        for change in (
            lambda: users.change(portal, "bert", password="another password"),
            lambda: users.change(portal, "bert", readonly=False),
            lambda: users.remove(portal, "bert"),
        ):
            with browser_of(portal) as others:
                password = "another password" if User.get_by_id("bert").password else PASSWORD
                if log_in(others, "bert").status_code != 303:
                    assert log_in(others, "bert", password).status_code == 303
                assert who(others) == "bert"
                change()
                assert who(others) == ""
        log_in(browser)
        users.change(portal, "anna", note="a note ends nothing")
        assert who(browser) == "anna"


def test_a_user_has_so_many_sessions(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "OF_USER_MAX", 3)
    with db.connection():
        anna = users.get("anna")
        tokens = [sessions.begin(portal.config, anna, "::1", "agent") for _ in range(5)]
        known = [sessions.find(portal.config, token) is not None for token in tokens]
    assert known == [False, False, True, True, True]


class Sessions:
    """Two browsers of anna, one of bert."""

    def __init__(self, portal: Portal) -> None:
        self.one, self.two, self.bert = (browser_of(portal) for _ in range(3))
        for client, name in ((self.one, "anna"), (self.two, "anna"), (self.bert, "bert")):
            client.headers["User-Agent"] = f"Browser of {name}"
            log_in(client, name)

    @staticmethod
    def shown(browser: TestClient, **arguments: str) -> list[dict[str, Any]]:
        answer = browser.get("/admin/api/sessions", params=arguments)
        assert answer.status_code == 200, answer.text
        result: list[dict[str, Any]] = answer.json()["result"]
        return result


def test_users_see_their_sessions_and_administrators_all(portal: Portal) -> None:
    world = Sessions(portal)
    (own,) = world.shown(world.bert)
    assert own["username"] == "bert"
    assert own["current"] is True
    assert own["agent"] == "Browser of bert"
    assert own["address"] == "192.0.2.1"
    assert own["expires"] is None
    assert sorted(row["username"] for row in world.shown(world.one)) == ["anna", "anna", "bert"]
    assert [row["username"] for row in world.shown(world.one, username="bert")] == ["bert"]
    assert [row["current"] for row in world.shown(world.one)].count(True) == 1
    refused = world.bert.get("/admin/api/sessions", params={"username": "anna"})
    assert refused.status_code == 403


def test_users_end_their_sessions_and_administrators_all(portal: Portal) -> None:
    world = Sessions(portal)
    ids = {row["username"]: row["id"] for row in world.shown(world.one) if not row["current"]}
    assert world.bert.delete(f"/admin/api/sessions/{ids['anna']}").json() == {"result": 0}
    assert world.bert.delete("/admin/api/sessions?username=anna").status_code == 403
    assert who(world.two) == "anna"
    assert world.one.delete("/admin/api/sessions").json() == {"result": 1}
    assert (who(world.one), who(world.two), who(world.bert)) == ("anna", "", "bert")
    assert world.one.delete(f"/admin/api/sessions/{ids['bert']}").json() == {"result": 1}
    assert who(world.bert) == ""
    log_in(world.bert, "bert")
    assert world.one.delete("/admin/api/sessions?username=bert").json() == {"result": 1}
    assert who(world.bert) == ""
    log_in(world.bert, "bert")
    (own,) = world.shown(world.bert)
    assert world.bert.delete(f"/admin/api/sessions/{own['id']}").json() == {"result": 1}
    assert who(world.bert) == ""


def test_a_role_that_a_backend_gives_anew_ends_the_sessions(portal: Portal) -> None:
    with db.connection():
        for readonly, left in ((False, 1), (False, 2), (None, 3), (True, 1)):
            user = users.known_by(portal, Identity("carla", "badges", readonly))
            sessions.begin(portal.config, user, "192.0.2.1", "")
            assert (user.readonly, len(sessions.listed("carla"))) == (readonly is True, left)


def test_an_api_key_ends_no_session(portal: Portal) -> None:
    world = Sessions(portal)
    token = api_keys.new_token()
    with db.connection():
        ApiKey.create(id="k", user="bert", name="k", write=True, digest=api_keys.digest(token))
    with browser_of(portal, headers={"X-Api-Key": token}) as program:
        assert [row["username"] for row in world.shown(program)] == ["bert"]
        assert program.delete("/admin/api/sessions").status_code == 403
    assert who(world.bert) == "bert"


class Badge:
    """A backend of which the user brings a badge, not a password."""

    @hookimpl
    def eportal_login_links(self, portal: Portal) -> list[Page]:
        return [Page("Show your <badge>", "/admin/badge")]

    @hookimpl
    def eportal_routes(self, portal: Portal) -> list[Any]:
        from starlette.routing import Route

        def badge(request: Any) -> Any:
            asked = request.query_params
            return sign_in(portal, request, lambda: Identity(asked["of"], "badge"), asked["next"])

        def leave(request: Any) -> Any:
            return lead_away(request, 'https://badge.example.com/?a=1&b="')

        return [Route("/admin/badge", badge), Route("/admin/badge/leave", leave)]

    @hookimpl
    def eportal_logout(self, portal: Portal, caller: Caller) -> str | None:
        return "/admin/badge/leave" if caller.backend == "badge" else None


class BadLogout:
    @hookimpl(tryfirst=True)
    def eportal_logout(self, portal: Portal, caller: Caller) -> str | None:
        if caller.username == "fails":
            raise ZeroDivisionError
        return "https://evil.example.com/" if caller.username == "evil" else None


@pytest.fixture
def badge(installed: Installed, data_dir: Path) -> Iterator[TestClient]:
    installed.plugin("badge", Badge())
    installed.plugin("bad", BadLogout())
    with with_users(opened(data_dir, installed.load())) as portal, browser_of(portal) as client:
        yield client


def test_a_plugin_may_bring_another_way_to_log_in(badge: TestClient) -> None:
    page = badge.get("/admin/login?next=/admin/%3Fa").text
    assert 'href="/admin/badge?next=%2Fadmin%2F%3Fa">Show your &lt;badge&gt;</a>' in page
    answer = badge.get("/admin/badge", params={"of": "carl", "next": "/admin/?b"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/?b")
    told = badge.get(WHOAMI).json()
    assert (told["username"], told["backend"], told["readonly"]) == ("carl", "badge", True)
    token = badge.cookies[COOKIE]
    away = badge.post("/admin/logout", follow_redirects=True).text
    target = "https://badge.example.com/?a=1&amp;b=&quot;"
    assert f'<meta http-equiv="refresh" content="0; url={target}">' in away
    badge.cookies.set(COOKIE, token)
    assert who(badge) == ""


def test_a_backend_may_not_name_another_backends_user(badge: TestClient) -> None:
    answer = badge.get("/admin/badge", params={"of": "anna", "next": ""})
    assert answer.status_code == 403
    assert "is that of a user of local here" in answer.text
    assert who(badge) == ""


@pytest.mark.parametrize(("name", "path"), [("fails", "/admin/login"), ("evil", "/admin/")])
def test_a_logout_ends_the_session_whatever_the_backend_does(
    badge: TestClient, name: str, path: str
) -> None:
    badge.get("/admin/badge", params={"of": name, "next": ""})
    token = badge.cookies[COOKIE]
    assert badge.post("/admin/logout").headers["location"] == path
    badge.cookies.set(COOKIE, token)
    assert who(badge) == ""


@pytest.mark.parametrize("restricted", [False, True])
def test_the_index_page_may_be_for_users_alone(data_dir: Path, restricted: bool) -> None:
    portal = opened(data_dir, AUTH_RESTRICTED_INDEX=restricted)
    with with_users(portal), browser_of(portal) as browser:
        answer = browser.get("/admin/")
        if restricted:
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/admin/login?next=")
            assert "Total number" not in answer.text
        else:
            assert "Total number of servers" in answer.text
        log_in(browser)
        assert "servers" in browser.get("/admin/", follow_redirects=True).text.lower()


def test_one_browsers_cookie_is_not_everybodys(served: Served) -> None:
    """The agent process passes ``/admin`` on for all of them."""
    served.cli.ok("user", "-a", "anna", "-p", PASSWORD)
    anna = requests.Session()
    form = {"username": "anna", "password": PASSWORD}
    assert anna.post(f"{served.url}/admin/login", data=form, timeout=10).ok
    assert anna.get(f"{served.url}{WHOAMI}", timeout=10).json()["username"] == "anna"
    for _ in range(10):
        assert requests.get(f"{served.url}{WHOAMI}", timeout=10).status_code == 401
