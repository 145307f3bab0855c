"""A portal with users, and browsers that log in to its admin side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from starlette.testclient import TestClient

from eportal_core import db
from eportal_core.admin.app import admin_app
from eportal_core.auth.passwords import hashed
from eportal_core.models import User
from eportal_core.portal import Portal

PASSWORD = "a right password"


@contextmanager
def with_users(portal: Portal) -> Iterator[Portal]:
    """``portal`` with the administrator anna and the readonly user bert; closed at the end."""
    try:
        with db.connection(), db.database.atomic():
            for number, name in enumerate(["anna", "bert"], 1):
                readonly = name == "bert"
                User.new(username=name, number=number, password=_kept(), readonly=readonly)
        yield portal
    finally:
        db.close()


def browser_of(
    portal: Portal, url: str = "http://testserver", client: str = "192.0.2.1", **more: Any
) -> TestClient:
    """A browser at the address ``client``; as a context manager, the portal's jobs run."""
    return TestClient(
        admin_app(portal),
        url,
        raise_server_exceptions=False,
        follow_redirects=False,
        client=(client, 50000),
        **more,
    )


def log_in(browser: TestClient, name: str = "anna", password: str = PASSWORD, **more: str) -> Any:
    return browser.post("/admin/login", data={"username": name, "password": password, **more})


@cache
def _kept() -> str:
    return hashed(PASSWORD)
