"""Single sign-on when the identity provider, or somebody on the way, does not keep to the rules."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jws, jwt
from joserfc.jwk import OctKey
from starlette.testclient import TestClient

from eportal_auth_oidc import transaction
from eportal_core import db
from eportal_core.admin.app import admin_app
from eportal_core.models import User
from eportal_core.operations import users
from eportal_core.portal import Portal
from tests.support.oidc import (
    CLIENT_ID,
    CLIENT_SECRET,
    HostileProvider,
    hostile_provider,
    key,
    signed,
)
from tests.support.opening import opened

START, BACK = "/admin/sso/login", "/admin/sso/login/callback"
REFUSED = "The answer of the identity provider is refused: "


@pytest.fixture
def provider() -> Iterator[HostileProvider]:
    with hostile_provider() as hostile:
        yield hostile


@pytest.fixture
def portal(data_dir: Path, provider: HostileProvider) -> Iterator[Portal]:
    yield portal_of(data_dir, provider)
    db.close()


def portal_of(data_dir: Path, provider: HostileProvider, **settings: object) -> Portal:
    given = {
        "OIDC_DISCOVERY_URL": provider.url,
        "OIDC_CLIENT_ID": CLIENT_ID,
        "OIDC_CLIENT_SECRET": CLIENT_SECRET,
    }
    return opened(data_dir, **{**given, **settings})


@pytest.fixture
def browser(portal: Portal) -> Iterator[TestClient]:
    with browser_of(portal) as client:
        yield client


def browser_of(portal: Portal) -> TestClient:
    return TestClient(admin_app(portal), raise_server_exceptions=False, follow_redirects=False)


def begin(browser: TestClient, provider: HostileProvider, **arguments: str) -> dict[str, str]:
    """Start a login; returns what the portal asks the provider, who remembers the nonce."""
    answer = browser.get(START, params=arguments)
    assert answer.status_code == 303, answer.text
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    asked = {name: values[0] for name, values in query.items()}
    provider.nonce = asked["nonce"]
    return asked


def come_back(browser: TestClient, asked: dict[str, str], **arguments: str | None) -> Any:
    told = {"code": "c", "state": asked["state"], **arguments}
    return browser.get(BACK, params={k: v for k, v in told.items() if v is not None})


def refusal(answer: Any, status: int = 403) -> str:
    """The sentence of a login that was refused; nobody is logged in."""
    assert answer.status_code == status, answer.text
    assert "eportal_session" not in answer.headers.get("set-cookie", "")
    _, _, rest = answer.text.partition('<p role="alert">')
    sentence, _, _ = rest.partition("\n")
    return sentence


def nobody(browser: TestClient) -> None:
    """Nobody is logged in, and no user was added."""
    assert browser.get("/admin/api/whoami").status_code == 401
    with db.connection():
        assert User.select().count() == 0


def test_a_login_that_keeps_to_the_rules(browser: TestClient, provider: HostileProvider) -> None:
    asked = begin(browser, provider, next="/admin/?a=b")
    assert asked["redirect_uri"] == f"http://testserver{BACK}"
    assert asked["code_challenge_method"] == "S256"
    assert asked["response_type"] == "code"
    # What the address of the provider has of its own stays.
    assert asked["tenant"] == "1"
    answer = come_back(browser, asked)
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/?a=b")
    assert browser.get("/admin/api/whoami").json()["username"] == "gauss"
    (form,) = provider.asked
    digest = hashlib.sha256(form["code_verifier"].encode()).digest()
    assert asked["code_challenge"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    # Source: RFC 6749, 2.3.1.
    secret = "a+secret%2Bwith%25odd%2Fcharacters"
    expected = base64.b64encode(f"{CLIENT_ID}:{secret}".encode()).decode()
    assert form["authorization"] == f"Basic {expected}"
    assert form["redirect_uri"] == asked["redirect_uri"]


Change = Callable[[HostileProvider], None]


def claim(name: str, value: object) -> Change:
    return lambda provider: provider.claims.update({name: value})


def made(sign: Callable[[dict[str, Any]], str]) -> Change:
    return lambda provider: setattr(provider, "sign", sign)


def unsigned(claims: dict[str, Any]) -> str:
    parts = ({"alg": "none"}, claims)
    return ".".join([*(_encoded(json.dumps(part).encode()) for part in parts), ""])


def signed_by_secret(claims: dict[str, Any]) -> str:
    secret = OctKey.import_key(CLIENT_SECRET)
    return jwt.encode({"alg": "HS256", "kid": "one"}, claims, secret)


def signed_by_public_key(claims: dict[str, Any]) -> str:
    """As if the provider's public key, which everybody has, were a shared secret."""
    parts = ({"alg": "HS256", "kid": "one"}, claims)
    text = ".".join(_encoded(json.dumps(part).encode()) for part in parts)
    seal = hmac.digest(key("one").as_pem(private=False), text.encode(), hashlib.sha256)
    return f"{text}.{_encoded(seal)}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def altered(claims: dict[str, Any]) -> str:
    header, payload, signature = signed(claims).split(".")
    other = jws.extract_compact(signed(claims | {"sub": "2"}).encode()).segments["payload"]
    assert other != payload.encode()
    return f"{header}.{other.decode()}.{signature}"


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (claim("nonce", "another"), "its nonce is not as it must be"),
        (claim("nonce", None), "its nonce is not as it must be"),
        (claim("iss", "https://other.example.com"), "its iss is not as it must be"),
        (claim("iss", None), "its iss is not as it must be"),
        (claim("aud", "another-client"), "its aud is not as it must be"),
        (claim("aud", ["another-client"]), "its aud is not as it must be"),
        (claim("aud", [CLIENT_ID, "another-client"]), "its azp is not as it must be"),
        (claim("azp", "another-client"), "its azp is not as it must be"),
        (claim("exp", int(time.time()) - 3600), "its time is over"),
        (claim("exp", None), "its exp is not as it must be"),
        (claim("exp", "soon"), "its exp is not as it must be"),
        (claim("iat", int(time.time()) + 3600), "its iat is not as it must be"),
        (claim("nbf", int(time.time()) + 3600), "its nbf is not as it must be"),
        (claim("sub", None), "its sub is not as it must be"),
        (claim("sub", 7), "its sub is not as it must be"),
        (claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), "its at_hash is not as it must be"),
        (made(unsigned), "its signature cannot be verified"),
        (made(signed_by_secret), "its signature cannot be verified"),
        (made(signed_by_public_key), "its signature cannot be verified"),
        (made(altered), "its signature cannot be verified"),
        (made(lambda claims: signed(claims, "two")), "its signature cannot be verified"),
        (made(lambda claims: signed(claims, "two", kid="one")), "its signature cannot be verified"),
        (made(lambda claims: "no token"), "its signature cannot be verified"),
        (made(lambda claims: "a.b.c"), "its signature cannot be verified"),
        (made(lambda claims: ""), "its signature cannot be verified"),
        (lambda p: p.tokens.update(id_token=None), "it has no ID token"),
        (lambda p: p.tokens.update(id_token=7), "it has no ID token"),
        (lambda p: p.tokens.update(token_type="mac"), "its token is of an unknown type"),
        (lambda p: p.userinfo.update(sub="2"), "it speaks of two users"),
        (lambda p: p.userinfo.update(sub=None), "it speaks of two users"),
    ],
)
def test_an_answer_that_cannot_be_believed_lets_nobody_in(
    browser: TestClient, provider: HostileProvider, change: Change, sentence: str
) -> None:
    change(provider)
    answer = come_back(browser, begin(browser, provider))
    assert refusal(answer).startswith(f"{REFUSED}{sentence}")
    nobody(browser)


@pytest.mark.parametrize(
    ("status", "body", "code", "sentence"),
    [
        (400, b'{"error": "invalid_grant"}', 403, "refused the code: invalid_grant."),
        (401, b'{"error": "invalid_client"}', 403, "refused the code: invalid_client."),
        (400, b'{"error": "<script>"}', 403, "refused the code: it does not say why."),
        (400, b'{"error": {}}', 403, "refused the code: it does not say why."),
        (200, b"<html>", 502, "/token is no JSON object."),
        (200, b"[]", 502, "/token is no JSON object."),
        (200, b"[" * 100_000, 502, "/token is no JSON object."),
        (200, b" " * (2 << 20), 502, "/token is longer than 1048576 bytes."),
        (302, b"{}", 502, "/token answered 302 Found."),
        (500, b"{}", 502, "/token answered 500 Internal Server Error."),
    ],
)
def test_no_tokens_let_nobody_in(
    browser: TestClient,
    provider: HostileProvider,
    status: int,
    body: bytes,
    code: int,
    sentence: str,
) -> None:
    provider.status, provider.body = status, body
    answer = come_back(browser, begin(browser, provider))
    assert refusal(answer, code).endswith(sentence)
    nobody(browser)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"error": "access_denied", "code": None}, "lets nobody in: access_denied."),
        ({"error": "<b>", "code": None}, "lets nobody in: it does not say why."),
        ({"code": None}, "it has no code."),
        ({"code": ""}, "it has no code."),
        ({"code": "c" * 5000}, "it has no code."),
        ({"iss": "https://other.example.com"}, "it is of another issuer."),
        ({"state": "another"}, "begin again."),
        ({"state": None}, "begin again."),
        ({"state": "\ud800"}, "begin again."),
    ],
)
def test_what_the_browser_brings_back_is_checked(
    browser: TestClient,
    provider: HostileProvider,
    arguments: dict[str, str | None],
    sentence: str,
) -> None:
    asked = begin(browser, provider)
    if arguments.get("state") == "\ud800":
        answer = browser.get(f"{BACK}?code=c&state=%ED%A0%80")
    else:
        answer = come_back(browser, asked, **arguments)
    status = 400 if sentence == "begin again." else 403
    assert refusal(answer, status).endswith(sentence)
    nobody(browser)
    assert provider.asked == []


def test_an_issuer_that_the_provider_promises_must_be_there(
    browser: TestClient, provider: HostileProvider
) -> None:
    provider.discovery["authorization_response_iss_parameter_supported"] = True
    assert refusal(come_back(browser, begin(browser, provider))).endswith("of another issuer.")
    assert come_back(browser, begin(browser, provider), iss=provider.url).status_code == 303


def test_a_login_counts_once(browser: TestClient, provider: HostileProvider) -> None:
    asked = begin(browser, provider)
    cookie = browser.cookies[transaction.COOKIE]
    assert come_back(browser, asked).status_code == 303
    browser.cookies.clear()
    browser.cookies.set(transaction.COOKIE, cookie, path=START)
    assert refusal(come_back(browser, asked), 400).endswith("begin again.")
    assert len(provider.asked) == 1


def test_a_login_is_bound_to_its_browser(
    portal: Portal, browser: TestClient, provider: HostileProvider
) -> None:
    asked = begin(browser, provider)
    with browser_of(portal) as victim:
        assert refusal(come_back(victim, asked), 400).endswith("begin again.")
        # A login of the victim's own does not help either.
        begin(victim, provider)
        assert refusal(come_back(victim, asked), 400).endswith("begin again.")
        nobody(victim)


@pytest.mark.parametrize(
    "forge",
    [
        lambda cookie: cookie[:-1] + ("A" if cookie[-1] != "A" else "B"),
        lambda cookie: cookie.replace(".", ".9", 1),
        lambda cookie: "",
        lambda cookie: "...",
        lambda cookie: "x",
        lambda cookie: cookie.rpartition(".")[0],
    ],
)
def test_a_cookie_that_is_not_ours_is_none(
    browser: TestClient, provider: HostileProvider, forge: Callable[[str], str]
) -> None:
    asked = begin(browser, provider)
    cookie = browser.cookies[transaction.COOKIE]
    browser.cookies.clear()
    browser.cookies.set(transaction.COOKIE, forge(cookie), path=START)
    assert refusal(come_back(browser, asked), 400).endswith("begin again.")


def test_a_login_must_be_finished_soon(
    browser: TestClient, provider: HostileProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "LIFETIME", 0)
    answer = come_back(browser, begin(browser, provider))
    assert refusal(answer, 400).endswith("begin again.")


@pytest.mark.parametrize(
    "onward",
    [
        "https://evil.example.com/",
        "//evil.example.com/admin",
        "/\\evil.example.com",
        "/admin\\..\\evil",
        "/admin.evil.example.com",
        "/admin/\r\nSet-Cookie: a=b",
        "/admin@evil.example.com",
        "javascript:alert(1)",
        "/admin/" + "a" * 5000,
    ],
)
def test_a_login_leads_to_no_other_host(
    browser: TestClient, provider: HostileProvider, onward: str
) -> None:
    answer = come_back(browser, begin(browser, provider, next=onward))
    assert answer.headers["location"] == "/admin/"


def test_new_keys_of_the_provider_are_fetched(
    browser: TestClient, provider: HostileProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eportal_auth_oidc.provider._ROTATION", 0)
    assert come_back(browser, begin(browser, provider)).status_code == 303
    provider.keys = [key("two")]
    provider.sign = lambda claims: signed(claims, "two")
    assert come_back(browser, begin(browser, provider)).status_code == 303
    # And the old ones are not believed any more.
    provider.sign = None
    assert "signature" in refusal(come_back(browser, begin(browser, provider)))


@pytest.mark.parametrize(
    ("discovery", "sentence"),
    [
        ({"issuer": "https://other.example.com"}, "is of another issuer."),
        ({"jwks_uri": None}, "jwks_uri must be an address such as"),
        ({"token_endpoint": "file:///etc/passwd"}, "token_endpoint must be an address such as"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "must be an address such as"),
        ({"token_endpoint_auth_methods_supported": 5}, "auth_methods_supported is no list."),
        (
            {"id_token_signing_alg_values_supported": None},
            "signing_alg_values_supported is no list.",
        ),
    ],
)
def test_a_discovery_document_that_cannot_be_used(
    browser: TestClient, provider: HostileProvider, discovery: dict[str, Any], sentence: str
) -> None:
    provider.discovery = discovery
    assert sentence in refusal(browser.get(START), 502)


def test_without_the_provider_users_of_the_portal_get_in(
    portal: Portal, browser: TestClient, provider: HostileProvider
) -> None:
    provider.discovery = {"issuer": "broken"}
    refusal(browser.get(START), 502)
    with db.connection():
        users.add(portal, "anna", "a password")
    form = {"username": "anna", "password": "a password"}
    assert browser.post("/admin/login", data=form).status_code == 303


@pytest.mark.parametrize(
    ("settings", "told", "readonly"),
    [
        ({}, {}, True),
        ({"OIDC_ADMIN_GROUP": "admins"}, {"groups": ["users", "admins"]}, False),
        ({"OIDC_ADMIN_GROUP": "admins"}, {"groups": "admins"}, False),
        ({"OIDC_ADMIN_GROUP": "admins"}, {"groups": "no-admins"}, True),
        ({"OIDC_ADMIN_GROUP": "admins"}, {"groups": ["admins2"]}, True),
        ({"OIDC_ADMIN_GROUP": "admins"}, {"groups": {"admins": 1}}, True),
        ({"OIDC_ADMIN_GROUP": "admins"}, {}, True),
        ({"OIDC_ADMIN_GROUP": "admins", "OIDC_GROUPS_CLAIM": "r"}, {"r": ["admins"]}, False),
    ],
)
def test_the_group_of_administrators(
    data_dir: Path,
    provider: HostileProvider,
    settings: dict[str, str],
    told: dict[str, Any],
    readonly: bool,
) -> None:
    provider.userinfo = told
    with browser_of(portal_of(data_dir, provider, **settings)) as browser:
        assert come_back(browser, begin(browser, provider)).status_code == 303
        assert browser.get("/admin/api/whoami").json()["readonly"] == readonly
    db.close()


def test_who_leaves_the_group_is_readonly_at_once(
    data_dir: Path, provider: HostileProvider
) -> None:
    provider.userinfo = {"groups": ["admins"]}
    with browser_of(portal_of(data_dir, provider, OIDC_ADMIN_GROUP="admins")) as browser:
        come_back(browser, begin(browser, provider))
        old = browser.cookies["eportal_session"]
        provider.userinfo = {"groups": []}
        come_back(browser, begin(browser, provider))
        assert browser.cookies["eportal_session"] != old
        assert browser.get("/admin/api/whoami").json()["readonly"] is True
    db.close()


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        ({"preferred_username": None}, "does not tell the preferred_username"),
        ({"preferred_username": ""}, "does not tell the preferred_username"),
        ({"preferred_username": ["gauss"]}, "does not tell the preferred_username"),
        ({"preferred_username": "a:b"}, "no colon"),
        ({"preferred_username": "gauss "}, "no blank"),
        ({"preferred_username": "a\nb"}, "name"),
        ({"preferred_username": "a" * 1000}, "name"),
    ],
)
def test_a_name_that_no_user_can_have(
    browser: TestClient, provider: HostileProvider, claims: dict[str, Any], sentence: str
) -> None:
    provider.claims = claims
    answer = come_back(browser, begin(browser, provider))
    assert sentence in refusal(answer, answer.status_code)
    assert answer.status_code in (400, 403)
    nobody(browser)


def test_an_address_that_nobody_verified_is_no_name(
    data_dir: Path, provider: HostileProvider
) -> None:
    provider.claims = {"email": "gauss@example.com", "email_verified": False}
    with browser_of(portal_of(data_dir, provider, OIDC_USERNAME_CLAIM="email")) as browser:
        assert "has not verified" in refusal(come_back(browser, begin(browser, provider)))
        provider.claims["email_verified"] = True
        assert come_back(browser, begin(browser, provider)).status_code == 303
    db.close()


def test_addresses_set_one_by_one_need_no_discovery(
    data_dir: Path, provider: HostileProvider
) -> None:
    """As the documents have it: then the user is whom the userinfo endpoint names."""
    provider.claims = {"preferred_username": None, "iss": "whoever"}
    provider.userinfo = {"preferred_username": "gauss"}
    settings = {
        "OIDC_DISCOVERY_URL": None,
        "OIDC_AUTH_URL": f"{provider.url}/authorize",
        "OIDC_TOKEN_URL": f"{provider.url}/token",
        "OIDC_USERINFO_URL": f"{provider.url}/userinfo",
        "OIDC_LOGOUT_URL": f"{provider.url}/logout",
    }
    with browser_of(portal_of(data_dir, provider, **settings)) as browser:
        for wrong in ({"nonce": "x"}, {"aud": "x"}, {"exp": 1}):
            kept = dict(provider.claims)
            provider.claims |= wrong
            assert REFUSED in refusal(come_back(browser, begin(browser, provider)))
            provider.claims = kept
        assert come_back(browser, begin(browser, provider)).status_code == 303
        assert browser.get("/admin/api/whoami").json()["username"] == "gauss"
        away = browser.post("/admin/logout", follow_redirects=True)
        assert f'content="0; url={provider.url}/logout?client_id={CLIENT_ID}' in away.text
        assert "post_logout_redirect_uri=http%3A%2F%2Ftestserver%2Fadmin&amp;id_token" in away.text
    db.close()


def test_guesses_from_one_address_are_bounded(
    browser: TestClient, provider: HostileProvider
) -> None:
    provider.status, provider.body = 400, b'{"error": "invalid_grant"}'
    for _ in range(50):
        assert come_back(browser, begin(browser, provider)).status_code == 403
    answer = come_back(browser, begin(browser, provider))
    assert "Too many logins failed" in refusal(answer, 429)
    assert 0 < int(answer.headers["retry-after"]) <= 301
    assert len(provider.asked) == 50


def test_pages_of_others_cannot_use_up_the_bound(
    portal: Portal, browser: TestClient, provider: HostileProvider
) -> None:
    for _ in range(60):
        assert refusal(browser.get(BACK, params={"state": "x"}), 400).endswith("begin again.")
    assert come_back(browser, begin(browser, provider)).status_code == 303


def test_without_settings_there_is_no_button(data_dir: Path) -> None:
    with browser_of(opened(data_dir)) as browser:
        assert "SSO" not in browser.get("/admin/login").text
        assert "authorize" not in browser.get(START).headers.get("location", "")
    db.close()
