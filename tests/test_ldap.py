"""Users of a real LDAP directory log in over HTTP, as in the two examples of the documents."""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

import eportal_auth_ldap
from eportal_core import db
from eportal_core.admin.app import admin_app
from eportal_core.models import User
from eportal_core.operations import users
from eportal_core.portal import Portal
from tests.support.opening import opened
from tests.support.plugins import Installed
from tests.support.proxies import Authority
from tests.support.slapd import PASSWORD, Slapd, slapd

CONNECTION = "uid=%s,dc=example,dc=com"
FILTER = "dc=example,dc=com??one?(&(ou=mathematicians)(uniqueMember=uid=%s,dc=example,dc=com))"
WRONG = "The name or the password is wrong."
KEPT_OUT = "This user of the LDAP directory may not use the portal."
LOCAL_PASSWORD = "long enough"

Serve = Callable[..., "Admin"]


class Admin:
    """The admin side of a portal, over HTTP."""

    def __init__(self, portal: Portal, client: TestClient) -> None:
        self.portal = portal
        self.client = client

    def whoami(self, name: str, password: str = PASSWORD) -> Any:
        """Log in by Basic authentication; who that is, or the sentence of the refusal."""
        credentials = b64encode(f"{name}:{password}".encode()).decode()
        answer = self.client.get(
            "/admin/api/whoami", headers={"Authorization": f"Basic {credentials}"}
        )
        found = answer.json()
        return found["username"] if answer.status_code == 200 else found["detail"]

    def users(self) -> dict[str, tuple[str, bool, str]]:
        with db.connection():
            return {u.username: (u.backend, u.readonly, u.description) for u in User.select()}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with slapd(Authority.make(tmp_path_factory.mktemp("ldap") / "ca")) as server:
        yield server


@pytest.fixture
def serve(installed: Installed, data_dir: Any) -> Iterator[Serve]:
    """Serves the admin side of a portal with these LDAP settings."""
    clients: list[TestClient] = []
    installed.plugin("auth_ldap", eportal_auth_ldap.plugin)

    def begin(**settings: object) -> Admin:
        portal = opened(data_dir, installed.load(), **settings)
        client = TestClient(admin_app(portal), raise_server_exceptions=False)
        client.__enter__()
        clients.append(client)
        return Admin(portal, client)

    yield begin
    for client in clients:
        client.__exit__(None, None, None)
    db.close()


@pytest.fixture
def basic(serve: Serve, directory: Slapd) -> Admin:
    """As in the basic setup example, with another host."""
    return serve(LDAP_URL=directory.plain, LDAP_CONNECTION=CONNECTION)


def test_basic_setup_example(basic: Admin) -> None:
    assert basic.whoami("gauss") == "gauss"
    assert basic.whoami("tesla") == "tesla"
    assert basic.users() == {
        "gauss": ("ldap", True, "LDAP"),
        "tesla": ("ldap", True, "LDAP"),
    }


def test_filter_setup_example(serve: Serve, directory: Slapd) -> None:
    admin = serve(LDAP_URL=directory.plain, LDAP_FILTER=FILTER, LDAP_CONNECTION=CONNECTION)
    assert admin.whoami("gauss") == "gauss"
    assert admin.whoami("tesla") == KEPT_OUT
    assert admin.whoami("tesla", "guess") == WRONG
    assert set(admin.users()) == {"gauss"}


@pytest.mark.parametrize(
    ("name", "password"),
    [("gauss", "wrong"), ("nobody", PASSWORD), ("gauss", ""), ("gauss", "\0"), ("*", PASSWORD)],
)
def test_who_is_refused_is_not_added(basic: Admin, name: str, password: str) -> None:
    assert basic.whoami(name, password) == WRONG
    assert basic.users() == {}


def test_a_local_user_is_asked_for_the_local_password_alone(basic: Admin, directory: Slapd) -> None:
    with db.connection():
        users.add(basic.portal, "newton", LOCAL_PASSWORD)
    assert basic.whoami("newton", PASSWORD) == WRONG
    assert basic.whoami("newton", LOCAL_PASSWORD) == "newton"
    assert basic.users()["newton"] == ("local", False, "")


def test_another_spelling_is_no_way_to_a_local_user(basic: Admin) -> None:
    with db.connection():
        users.add(basic.portal, "newton", LOCAL_PASSWORD)
    assert "user of local" in basic.whoami("Newton", PASSWORD)
    assert basic.users()["newton"] == ("local", False, "")


def test_what_an_administrator_says_of_a_user_stays(basic: Admin) -> None:
    basic.whoami("gauss")
    with db.connection():
        users.change(basic.portal, "gauss", readonly=False, note="Carl Friedrich")
    assert basic.whoami("GAUSS") == "gauss"
    assert basic.users()["gauss"] == ("ldap", False, "Carl Friedrich")


def test_spellings_of_one_entry_are_one_user(basic: Admin) -> None:
    for typed in ("GAUSS", "  gauss ", "ｇａｕｓｓ", "Ｇauſs", "gauss\N{NO-BREAK SPACE}"):  # noqa: RUF001
        assert basic.whoami(typed) == "gauss"
    assert set(basic.users()) == {"gauss"}


def test_first_logins_at_the_same_time_add_one_user(basic: Admin) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda name=name: found.append(basic.whoami(name)))
        for name in ("euler", "Euler", "EULER", "euler ")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["euler"] * 4
    assert set(basic.users()) == {"euler"}


def test_without_a_url_nobody_is_asked(serve: Serve) -> None:
    assert serve(LDAP_CONNECTION=CONNECTION).whoami("gauss") == WRONG
