"""Single sign-on with a real identity provider, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import browser, new_page
from tests.support.oidc import CLIENT_ID, CLIENT_SECRET, real_provider
from tests.support.serving import Served, free_ports, serving

SSO = "Sign In with SSO"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def portal_with_sso(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    (port,) = free_ports(1)
    settings = {
        "OIDC_DISCOVERY_URL": f"http://127.0.0.1:{port}",
        "OIDC_CLIENT_ID": CLIENT_ID,
        "OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "OIDC_SCOPES": "openid, profile, groups",
        "OIDC_ADMIN_GROUP": "admins",
    }
    folder: Path = tmp_path_factory.mktemp("sso") / "var"
    with serving(folder, **settings) as served:
        # Another site than the provider's: browsers keep and send less between two.
        url = served.url.replace("127.0.0.1", "localhost")
        home = f"{url}/admin"
        with real_provider(port, f"{home}/sso/login/callback", home):
            yield replace(served, url=url)


def whoami(page: Any, url: str) -> Any:
    return page.request.get(f"{url}/admin/api/whoami")


def log_in_there(page: Any, name: str) -> None:
    """What the provider asks: who this is, and whether the portal may know."""
    page.get_by_placeholder("Enter any login").fill(name)
    page.get_by_placeholder("and password").fill("anything")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()


@pytest.mark.parametrize(("name", "readonly"), [("gauss", False), ("tesla", True)])
def test_a_user_of_the_provider_comes_and_goes(
    chromium: Any, portal_with_sso: Served, name: str, readonly: bool
) -> None:
    url = portal_with_sso.url
    page = new_page(chromium)
    assert whoami(page, url).status == 401
    page.goto(f"{url}/admin/login?next=/admin/?from=here")
    page.get_by_role("link", name=SSO).click()
    log_in_there(page, name)
    page.wait_for_url(f"{url}/admin/?from=here")
    assert whoami(page, url).json() == {
        "username": name,
        "backend": "oidc",
        "readonly": readonly,
        "means": "session",
    }
    cookies = {cookie["name"]: cookie for cookie in page.context.cookies(f"{url}/admin/")}
    assert not any(cookie.startswith("eportal_sso") for cookie in cookies)
    assert cookies["eportal_session"]["httpOnly"] is True
    assert cookies["eportal_session"]["sameSite"] == "Lax"
    before = page.context.cookies(f"{url}/admin/sso/logout")

    page.goto(f"{url}/admin/logout")
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="Yes, sign me out").click()
    page.wait_for_url(re.compile(rf"{re.escape(url)}/admin/?$"))
    assert whoami(page, url).status == 401
    # Neither do the old cookies open anything, ...
    page.context.add_cookies(before)
    assert whoami(page, url).status == 401
    # ... nor has the provider kept whom it knew.
    page.goto(f"{url}/admin/login")
    page.get_by_role("link", name=SSO).click()
    page.get_by_placeholder("Enter any login").wait_for()


def test_a_first_login_is_a_new_user(chromium: Any, portal_with_sso: Served) -> None:
    page = new_page(chromium)
    page.goto(f"{portal_with_sso.url}/admin/login")
    page.get_by_role("link", name=SSO).click()
    log_in_there(page, "hilbert")
    page.wait_for_url(f"{portal_with_sso.url}/admin/")
    shown = portal_with_sso.cli.json("user")
    (user,) = [user for user in shown if user["username"] == "hilbert"]
    assert (user["description"], user["readonly"]) == ("SSO", True)


def test_a_name_that_is_a_local_users_lets_nobody_in(
    chromium: Any, portal_with_sso: Served
) -> None:
    portal_with_sso.cli.ok("user", "-a", "local", "-p", "a password")
    page = new_page(chromium)
    page.goto(f"{portal_with_sso.url}/admin/login")
    page.get_by_role("link", name=SSO).click()
    log_in_there(page, "local")
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert "is that of a user of local here" in alert.text_content()
    assert whoami(page, portal_with_sso.url).status == 401


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_login_fits_a_telephone(
    chromium: Any, portal_with_sso: Served, scheme: str, tmp_path: Path
) -> None:
    page = new_page(chromium, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page.goto(f"{portal_with_sso.url}/admin/login")
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) <= 390
    background = page.evaluate("getComputedStyle(document.querySelector('button')).color")
    dark = sum(map(int, re.findall(r"\d+", background)[:3])) > 380
    assert dark == (scheme == "dark")
    for name in ("User name", "Password"):
        box = page.get_by_label(name).bounding_box()
        assert box["width"] > 250
        assert box["height"] >= 44
    page.screenshot(path=tmp_path / f"{scheme}.png")
    # Nothing of the page was refused by the page's own policy.
    assert page.complaints == []
