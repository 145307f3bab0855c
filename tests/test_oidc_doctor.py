"""What ``kc.eportal doctor`` says of who may log in, and from where."""

from __future__ import annotations

import json

import pytest

from tests.support.inprocess import InProcess
from tests.support.oidc import hostile_provider

NAME = "single sign-on"


def finding(kc: InProcess, name: str, **settings: str) -> tuple[bool, str, str]:
    """Of the check ``name``: is it well, what is found, and what to do."""
    environ = {f"EPORTAL_{setting}": value for setting, value in settings.items()}
    done = kc("doctor", "--json", **environ)
    (check,) = [row for row in json.loads(done.out) if row["name"] == name]
    return check["ok"], check["finding"], check["advice"]


def test_a_provider_that_answers_is_well(kc: InProcess) -> None:
    with hostile_provider() as provider:
        found = finding(kc, NAME, OIDC_DISCOVERY_URL=provider.url, OIDC_CLIENT_ID="eportal")
    assert found == (True, f"{provider.url} answers", "")
    found = finding(kc, NAME, OIDC_DISCOVERY_URL=provider.url, OIDC_CLIENT_ID="eportal")
    assert found[0] is False
    assert "Connection refused" in found[1]


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"OIDC_CLIENT_ID": "e"}, "OIDC_AUTH_URL, OIDC_TOKEN_URL, OIDC_USERINFO_URL not set"),
        ({"OIDC_DISCOVERY_URL": "https://a.example.com"}, "OIDC_CLIENT_ID not set"),
        (
            {"OIDC_CLIENT_ID": "e", "OIDC_DISCOVERY_URL": "http://a.example.com"},
            "OIDC_DISCOVERY_URL is no https address",
        ),
        (
            {"OIDC_CLIENT_ID": "e", "OIDC_DISCOVERY_URL": "a.example.com"},
            "OIDC_DISCOVERY_URL must be an address",
        ),
    ],
)
def test_what_is_wrong_has_a_name(kc: InProcess, settings: dict[str, str], found: str) -> None:
    ok, told, advice = finding(kc, NAME, **settings)
    assert not ok
    assert told.startswith(found)
    assert advice


def test_without_single_sign_on_nothing_is_said(kc: InProcess) -> None:
    assert NAME not in kc.ok("doctor")


def test_hosts_that_nobody_named_are_told_and_no_fault(kc: InProcess) -> None:
    assert "ok  host names: the admin side answers as any: see ALLOWED_HOSTS" in kc.ok("doctor")
    told = finding(kc, "host names", ALLOWED_HOSTS="a.example.com")
    assert told == (True, "the admin side answers as a.example.com", "")


@pytest.mark.parametrize("everybody", ["*", "10.0.0.8, 0.0.0.0/0", "::/0"])
def test_proxies_that_are_everybody_are_a_fault(kc: InProcess, everybody: str) -> None:
    ok, told, advice = finding(kc, "proxies", TRUSTED_PROXIES=everybody)
    assert (ok, told.partition(":")[0]) == (False, "TRUSTED_PROXIES is everybody")
    assert "addresses of your proxies" in advice
    named = finding(kc, "proxies", TRUSTED_PROXIES="10.0.0.0/8")
    assert named == (True, "10.0.0.0/8 may tell who asks", "")
