"""Who may call what: every route of the admin side, as everybody.

What is expected follows from what an operation declares; every other route has a row here. A route
that has neither fails the test, so that none is forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.routing import BaseRoute, Mount, Route
from starlette.testclient import TestClient

from eportal_core import db
from eportal_core.admin.api.operation import Access, Operation
from eportal_core.admin.api.routes import OPERATIONS
from eportal_core.admin.app import admin_app
from eportal_core.operations import api_keys, feeds, users
from tests.support.opening import opened

#: Whoever calls; those with a dash are API keys of the administrator, which may change things but
#: for the first.
ROLES = (
    "nobody",
    "readonly",
    "admin",
    "key-reading",
    "key-writing",
    "key-other-product",
    "key-other-feed",
)
REFUSED = (401, 403)

#: Of operations that keys for some products or feeds may call: arguments, and whether a key for
#: another product, and one for another feed, are refused. Who is not refused sees nothing of it.
LIMITED: dict[str, tuple[dict[str, Any], bool, bool]] = {
    "list_servers": ({}, False, False),
    "show_server": ({}, False, False),
    "delete_servers": ({"checkin_age": 1}, False, False),
    "delete_one_server": ({}, False, False),
    "delete_server": ({"hostname": "web1"}, False, False),
    "set_tags": ({"server_id": "x", "tags": "a"}, False, False),
    "tag_servers": ({"server_id": "x", "add": "a"}, False, False),
    "move_servers": ({"server_id": "x", "key": "none"}, False, False),
    "list_feeds": ({}, False, False),
    "put_feed": ({"name": "test"}, True, True),
    "delete_feed": ({}, True, True),
    "list_keys": ({}, False, False),
    "put_key": ({"key": "k", "feed": "main"}, True, True),
    "delete_key": ({}, True, False),
    "list_patchsets": ({}, True, True),
    "manage_patchset": ({"patchset": "K1", "action": "enable"}, True, True),
    "who_am_i": ({}, False, False),
    "show_openapi": ({}, False, False),
}
#: Routes that are no operations, and that answer anybody.
OPEN = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/admin"),
    ("GET", "/admin/login"),
    ("GET", "/admin/logout"),
    ("POST", "/admin/logout"),
}
#: A page with totals for nobody in particular; programs have the API.
FOR_PEOPLE = {("GET", "/admin/")}
#: It asks who somebody is, and refuses those that it does not believe.
LOGIN = {("POST", "/admin/login")}
FOR_USERS = {("GET", "/admin/metrics")}
#: A form of the pages whose body is not read before it is known who sends it.
FOR_ADMINS = {("POST", "/admin/patchsets/{command}/deploy/upload")}


@dataclass(frozen=True)
class Fleet:
    """An admin side with its routes, and what each role sends along."""

    client: TestClient
    routes: list[BaseRoute]
    roles: dict[str, dict[str, Any]]

    def call(self, role: str, method: str, path: str, arguments: dict[str, Any]) -> int:
        self.client.cookies.clear()
        answer = self.client.request(
            method, path, params=arguments, follow_redirects=False, **self.roles[role]
        )
        return answer.status_code


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    portal = opened(tmp_path_factory.mktemp("roles") / "var")
    with db.connection():
        feeds.add(portal, "other")
        users.add(portal, "admin", "AdminPassword")
        users.add(portal, "reader", "ReaderPassword", readonly=True)
        tokens = {
            name: {"headers": {"X-Api-Key": api_keys.add(portal, "admin", name, **limits)[1]}}
            for name, limits in {
                "key-reading": {},
                "key-writing": {"write": True},
                "key-other-product": {"write": True, "products": ["db"]},
                "key-other-feed": {"write": True, "feed_names": ["other"]},
            }.items()
        }
    app: Any = admin_app(portal)
    client = TestClient(app, raise_server_exceptions=False)
    while not hasattr(app, "routes"):
        app = getattr(app, "_app", None) or app.app
    roles = {
        "nobody": {},
        "readonly": {"auth": ("reader", "ReaderPassword")},
        "admin": {"auth": ("admin", "AdminPassword")},
        **tokens,
    }
    yield Fleet(client, app.routes, roles)
    db.close()


def is_refused(operation: Operation, role: str) -> int:
    """The status of a refusal, 0 when there is none."""
    access = operation.access
    if access is Access.ANYBODY:
        return 0
    if role == "nobody":
        return 401
    by_key = role.startswith("key-")
    reads = role in ("readonly", "key-reading")
    refused = (
        (access is Access.ADMIN and reads)
        or (access is Access.OWN and by_key)
        or (role == "key-other-product" and operation.all_products)
        or (role.startswith("key-other") and not operation.limited)
        or (role == "key-other-product" and LIMITED[operation.name][1])
        or (role == "key-other-feed" and LIMITED[operation.name][2])
    )
    return 403 if refused else 0


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_an_operation_lets_in_whom_it_says(fleet: Fleet, operation: Operation, role: str) -> None:
    expected = is_refused(operation, role)
    arguments = LIMITED[operation.name][0] if operation.limited else {}
    path = "/".join("x" if part.startswith("{") else part for part in operation.path.split("/"))
    for form in (path, f"{path}/"):
        status = fleet.call(role, operation.method, form, arguments)
        if expected:
            assert status == expected
        else:
            assert status not in (*REFUSED, 405), status
            assert status < 500


def test_every_route_says_whom_it_lets_in(fleet: Fleet) -> None:
    declared = {
        (operation.method, form)
        for operation in OPERATIONS
        for form in (operation.path, f"{operation.path}/")
    }
    routes = set()
    for route in fleet.routes:
        if isinstance(route, Route):
            routes |= {(method, route.path) for method in route.methods - {"HEAD"}}
        else:
            assert type(route).__name__ == "_LastMount", f"{route} belongs to nobody"
    assert not routes - declared - OPEN - FOR_PEOPLE - LOGIN - FOR_USERS - FOR_ADMINS
    assert not (declared | FOR_USERS | FOR_ADMINS) - routes


@pytest.mark.parametrize("role", ROLES)
def test_other_routes_let_in_whom_they_should(fleet: Fleet, role: str) -> None:
    for method, path in OPEN:
        assert fleet.call(role, method, path, {}) not in REFUSED, path
    for method, path in FOR_PEOPLE:
        assert (fleet.call(role, method, path, {}) == 403) == role.startswith("key-"), path
    for method, path in FOR_USERS:
        # They tell of all products and feeds.
        expected = {"nobody": 401, "key-other-product": 403, "key-other-feed": 403}.get(role, 200)
        assert fleet.call(role, method, path, {}) == expected, path


@pytest.mark.parametrize("role", ROLES)
def test_archives_are_taken_from_administrators_alone(fleet: Fleet, role: str) -> None:
    for method, path in FOR_ADMINS:
        status = fleet.call(role, method, path.replace("{command}", "kcare"), {})
        # Nobody is led to the login, an administrator to what came of it.
        assert status == {"nobody": 303, "admin": 303}.get(role, 403)


def test_no_page_lets_nobody_in(fleet: Fleet) -> None:
    """Reading leads to the login, and comes back; nothing else is done."""
    (mount,) = [route for route in fleet.routes if isinstance(route, Mount)]
    pages = [route for route in mount.routes if isinstance(route, Route)]
    assert len(pages) > 5
    for page in pages:
        path = mount.path + re.sub(r"\{[^}]*\}", "x", page.path)
        for method in (page.methods or {"GET"}) - {"HEAD"}:
            if ("GET", path) in OPEN | FOR_PEOPLE and method == "GET":
                continue
            status = fleet.call("nobody", method, path, {})
            # What no page has is there for nobody.
            assert status in ((303, 404) if method == "GET" else REFUSED), f"{method} {path}"


def test_names_of_operations_are_their_own() -> None:
    names = [operation.name for operation in OPERATIONS]
    assert len(set(names)) == len(names)
    assert LIMITED.keys() == {each.name for each in OPERATIONS if each.limited}
