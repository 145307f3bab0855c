"""Every page of the web UI in a portal where there is something to see, each as both roles."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eportal_core.models import Server
from tests.support.accessibility import findings
from tests.support.overviews import made
from tests.support.ui import Site, site

#: Pages behind the navigation; ``SERVER`` is one that there is.
BEHIND = (
    "/admin/servers/SERVER",
    "/admin/servers?active=false&sort=hostname",
    "/admin/tags",
    "/admin/overview/distro",
    "/admin/patchsets/kcare/K20260301_01",
    "/admin/docs/api",
    "/admin/sessions",
)
FOR_ADMINS = (
    "/admin/patchsets/kcare/K20260301_01/manage",
    "/admin/patchsets/kcare/deploy",
    "/admin/tags/assign",
)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("tour") / "var") as served:
        made(served.portal, tmp_path_factory.mktemp("world"))
        yield served


@pytest.mark.parametrize(
    ("user", "dark", "narrow"),
    [("anna", False, False), ("anna", True, True), ("rob", True, False)],
    ids=["admin", "admin-dark-narrow", "readonly-dark"],
)
def test_every_page_of_the_navigation(here: Site, user: str, dark: bool, narrow: bool) -> None:
    visitor = here.visitor(user, narrow=narrow, dark=dark)
    page = visitor.open("/admin/")
    links = page.get_by_role("navigation", name="Pages", include_hidden=True).locator("a")
    paths = [links.nth(number).get_attribute("href") for number in range(links.count())]
    assert len(paths) > 15
    problems = {}
    for path in (*paths, *(each.replace("SERVER", _server()) for each in BEHIND)):
        page = visitor.open(path)
        assert page.locator("h1").count() == 1, path
        if found := findings(page):
            problems[path] = found
    assert problems == {}


@pytest.mark.parametrize("path", FOR_ADMINS)
def test_what_is_for_administrators(here: Site, path: str) -> None:
    page = here.visitor("anna").open(path)
    assert findings(page) == []
    here.visitor("rob").open(path, 403)


def _server() -> str:
    server: str = Server.select(Server.id).limit(1).scalar()
    return server
