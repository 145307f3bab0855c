"""Pages that plugins bring into the look of the rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from eportal_core import Access, View, Visit, db, hookimpl
from eportal_core.admin.app import admin_app
from eportal_core.errors import PluginError
from eportal_core.operations import users
from tests.support.plugins import Installed, opened

PASSWORD = "correct horse battery"
FANS = """
from eportal_core import Access, Page, View, hookimpl


@hookimpl
def eportal_views(portal):
    def show(visit):
        return visit.page("fans/fans.html", title="Fans", speed=visit.text("speed"))

    def turn(visit):
        return visit.go("/fans", "The fans turn.", speed="9")

    return [
        View("GET", "/fans", Access.READER, show),
        View("POST", "/fans", Access.ADMIN, turn),
    ]


@hookimpl
def eportal_navigation(portal):
    return [Page("Fans", "/admin/fans")]


plugin = __import__("sys").modules[__name__]
"""
TEMPLATE = """{% extends "layout.html" %}
{% block content %}<p>Speed {{ speed }}</p>{% endblock %}
"""


class Bringing:
    def __init__(self, *views: View) -> None:
        self.views = views

    @hookimpl
    def eportal_views(self, portal: object) -> tuple[View, ...]:
        return self.views


def show(visit: Visit) -> object:
    return visit.page("error.html", title="Mine", number=1, sentence="mine")


@contextmanager
def logged_in(
    data_dir: Path, plugins: Installed, *, readonly: bool = False
) -> Iterator[TestClient]:
    portal = opened(plugins.load(), data_dir)
    with db.connection(), TestClient(admin_app(portal)) as client:
        users.add(portal, "anna", PASSWORD, readonly=readonly)
        client.post("/admin/login", data={"username": "anna", "password": PASSWORD})
        yield client
    db.close()


def test_a_page_with_a_template_of_its_own(
    installed: Installed, data_dir: Path, tmp_path: Path
) -> None:
    installed.source("fans", FANS)
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "fans.html").write_text(TEMPLATE)
    with logged_in(data_dir, installed) as client:
        page = client.get("/admin/fans", params={"speed": "<9>"})
        assert "Speed &lt;9&gt;" in page.text
        assert '<a href="/admin/fans" aria-current="page">Fans</a>' in page.text
        token = client.cookies["starlette_admin_csrftoken"]
        after = client.post("/admin/fans", data={"csrftoken": token})
        assert "The fans turn." in after.text
        assert "Speed 9" in after.text


def test_its_access_is_minded(installed: Installed, data_dir: Path) -> None:
    installed.source("fans", FANS)
    with logged_in(data_dir, installed, readonly=True) as client:
        client.get("/admin/fans")
        token = client.cookies["starlette_admin_csrftoken"]
        assert client.post("/admin/fans", data={"csrftoken": token}).status_code == 403
        client.cookies.clear()
        answer = client.get("/admin/fans", follow_redirects=False)
        assert answer.headers["location"] == "/admin/login?next=/admin/fans"


@pytest.mark.parametrize(
    ("views", "sentence"),
    [
        (
            [View("GET", "/keys", Access.READER, show)],
            "The page GET /admin/keys is brought by the core and by plugin one; uninstall or "
            "rename one.",
        ),
        (
            [View("GET", "/mine", Access.READER, show)] * 2,
            "The page GET /admin/mine is brought by plugin one twice; rename one.",
        ),
    ],
)
def test_a_page_that_is_taken_stops_the_start(
    installed: Installed, data_dir: Path, views: list[View], sentence: str
) -> None:
    installed.plugin("one", Bringing(*views))
    portal = opened(installed.load(), data_dir)
    with pytest.raises(PluginError) as caught:
        admin_app(portal)
    assert str(caught.value) == sentence
    db.close()


def test_a_route_may_not_hide_a_page(installed: Installed, data_dir: Path) -> None:
    class Hiding:
        @hookimpl
        def eportal_routes(self, portal: object) -> list[object]:
            from starlette.responses import PlainTextResponse
            from starlette.routing import Route

            return [Route("/admin/keys", lambda request: PlainTextResponse("mine"))]

    installed.plugin("one", Hiding())
    portal = opened(installed.load(), data_dir)
    with pytest.raises(PluginError, match="route GET /admin/keys is brought by the core and by"):
        admin_app(portal)
    db.close()


def test_an_error_of_a_plugin_is_a_page(
    installed: Installed, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(visit: Visit) -> None:
        raise RuntimeError("a secret thing")

    installed.plugin("one", Bringing(View("GET", "/mine", Access.READER, fail)))
    with logged_in(data_dir, installed) as client:
        answer = client.get("/admin/mine")
    assert answer.status_code == 500
    assert "a secret thing" not in answer.text
    assert "Something went wrong here; the portal&#39;s log says what." in answer.text
    assert 'aria-label="Pages"' in answer.text
    assert "a secret thing" in caplog.text
