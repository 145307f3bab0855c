"""Hundreds of patchsets in several feeds: pages of them, and how large those are."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import pytest

from eportal_core.admin.ui.patchsets import PER_PAGE
from eportal_core.db import database
from eportal_core.models import FeedPatchset, Patchset
from eportal_core.operations import feeds
from tests.support.ui import Site, site

LIST = "/admin/patchsets/kcare"
FEEDS = ("canary", "test", "web", "data", "late")
DISTROS = [f"distribution{number}" for number in range(40)]
COUNT = 300
#: Bytes of a page, compressed, without what it loads.
PAGE_MAX = 60_000


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("ui") / "var") as served:
        for name in FEEDS:
            feeds.add(served.portal, name)
        with database.atomic():
            for number in range(COUNT):
                name = f"K2026{1 + number // 28 % 12:02}{1 + number % 28:02}_{number:03}"
                patchset = Patchset.new(
                    id=f"kernel/{name}",
                    product="kernel",
                    name=name,
                    position=f"{number:05}",
                    channels=["default"],
                    distros=DISTROS[number % 7 :],
                    archive=f"{name}.tar.bz2",
                    sha256="0" * 64,
                    size=1,
                )
                for feed in FEEDS[: number % 6]:
                    state = "disabled" if number % 9 == 0 else "enabled"
                    FeedPatchset.new(feed=feed, patchset=patchset, state=state)
        yield served


def size(here: Site, path: str) -> int:
    page = here.visitor().open(path)
    return len(zlib.compress(page.content().encode()))


def test_there_are_pages(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(LIST)
    assert page.locator("tbody tr").count() == PER_PAGE
    assert "1-50 of 300" in page.inner_text(".paging")
    first = page.locator("tbody tr a").first.inner_text()
    assert page.get_by_role("link", name="Previous").count() == 0
    for _ in range(COUNT // PER_PAGE - 1):
        page.get_by_role("link", name="Next").click()
        page.wait_for_load_state()
    assert "251-300 of 300" in page.inner_text(".paging")
    assert page.get_by_role("link", name="Next").count() == 0
    page.get_by_role("link", name="Previous").click()
    page.wait_for_url("**page=5")
    visitor.open(f"{LIST}?page=99")
    assert "251-300 of 300" in page.inner_text(".paging")
    visitor.open(f"{LIST}?page=-4&distro=distribution0")
    assert "1-43 of 43" in page.inner_text(".paging")
    assert page.locator("tbody tr a").first.inner_text() != first
    visitor.picture("patchsets-many")


def test_pages_are_small(here: Site) -> None:
    assert size(here, LIST) < PAGE_MAX
    newest = Patchset.select().order_by(Patchset.position.desc()).get().name
    path = f"{LIST}/{newest}/manage?all=enable-upto"
    assert "will be enabled" in here.visitor().open(path).inner_text("section")
    assert size(here, path) < PAGE_MAX
    assert size(here, f"{LIST}/{newest}") < PAGE_MAX


def test_all_of_them_are_enabled(here: Site) -> None:
    visitor = here.visitor()
    newest = Patchset.select().order_by(Patchset.position.desc()).get().name
    page = visitor.open(f"{LIST}/{newest}/manage")
    page.get_by_label("Do in main").select_option("enable-upto")
    page.get_by_role("button", name="Show what it will do").click()
    assert "300 will be enabled" in page.locator("section").inner_text()
    page.get_by_role("button", name="Apply", exact=True).click()
    done = f"{newest}: 300 patchsets enabled in main. Servers take it at their next check-in."
    page.locator(".alert", has_text=done).wait_for(timeout=60_000)
    assert FeedPatchset.select().where(FeedPatchset.feed == "main").count() == COUNT
    visitor.check()


def test_narrow(here: Site) -> None:
    visitor = here.visitor(narrow=True)
    visitor.open(LIST)
    visitor.picture("patchsets-many-narrow")
