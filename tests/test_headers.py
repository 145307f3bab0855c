"""What the admin side tells browsers, and by which names it may be called."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eportal_core import db
from eportal_core.errors import ConfigError
from tests.support.logins import browser_of, with_users
from tests.support.opening import opened


def policy(text: str) -> dict[str, list[str]]:
    parts = (part.split() for part in text.split(";"))
    return {name: sources for name, *sources in parts}


@pytest.mark.parametrize(
    "path", ["/admin/login", "/admin/logout", "/admin/api/whoami", "/admin/api/none", "/healthz"]
)
def test_every_answer_has_them(data_dir: Path, path: str) -> None:
    with with_users(opened(data_dir)) as portal, browser_of(portal) as browser:
        first, second = browser.get(path), browser.get(path)
    told = policy(first.headers["content-security-policy"])
    assert told["default-src"] == ["'none'"]
    assert told["frame-ancestors"] == told["base-uri"] == ["'none'"]
    assert told["form-action"] == ["'self'"]
    assert "unsafe" not in first.headers["content-security-policy"]
    assert first.headers["x-content-type-options"] == "nosniff"
    assert first.headers["referrer-policy"] == "same-origin"
    assert "strict-transport-security" not in first.headers
    (nonce,) = told["script-src"]
    assert re.fullmatch(r"'nonce-[\w-]{22,}'", nonce)
    assert nonce not in second.headers["content-security-policy"]
    if first.headers["content-type"].startswith("text/html"):
        assert f'<style nonce="{nonce[7:-1]}">' in first.text
        assert first.headers["cache-control"] == "no-store"


def test_by_https_browsers_are_told_to_stay_there(data_dir: Path) -> None:
    portal = opened(data_dir)
    with with_users(portal), browser_of(portal, "https://testserver") as browser:
        told = browser.get("/admin/login").headers["strict-transport-security"]
    assert told == "max-age=31536000"


@pytest.mark.parametrize(
    ("allowed", "host", "good"),
    [
        ([], "anything.example.org", True),
        (["eportal.example.com"], "eportal.example.com", True),
        (["eportal.example.com"], "EPORTAL.example.com:8142", True),
        (["eportal.example.com"], "evil.example.org", False),
        (["eportal.example.com"], "eportal.example.com.evil.org", False),
        (["eportal.example.com"], "evil.org#eportal.example.com", False),
        (["eportal.example.com"], "", False),
        (["*.example.com"], "a.example.com", True),
        (["*.example.com"], "example.com", False),
        (["*.example.com"], "evilexample.com", False),
        (["192.0.2.1", "[::1]"], "[::1]:8142", True),
        (["*"], "anything", True),
    ],
)
def test_only_allowed_hosts_are_answered(
    data_dir: Path, allowed: list[str], host: str, good: bool
) -> None:
    portal = opened(data_dir, ALLOWED_HOSTS=allowed)
    with with_users(portal), browser_of(portal) as browser:
        answer = browser.get("/admin/login", headers={"Host": host})
        assert (answer.status_code == 200) == good, answer.text
        if not good:
            assert answer.status_code == 400
        # Who watches over it need not know its name.
        assert browser.get("/healthz", headers={"Host": host or "x"}).status_code == 200


@pytest.mark.parametrize("host", ["a*.example.com", "https://a.example.com", "a:8142", "a/b", "*."])
def test_what_is_no_host_name_stops_the_start(data_dir: Path, host: str) -> None:
    portal = opened(data_dir, ALLOWED_HOSTS=[host])
    with pytest.raises(ConfigError, match=r"ALLOWED_HOSTS names .+ are meant"):
        browser_of(portal)
    db.close()
