"""The overview in a browser: what it shows, where it leads, and what an empty portal is told."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from eportal_core.operations import keys
from tests.support.overviews import made
from tests.support.ui import Site, site


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("empty") / "var") as served:
        yield served


@pytest.fixture(scope="module")
def here(empty: Site, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The same portal, when servers have come: tests of the empty one stand before."""
    made(empty.portal, tmp_path_factory.mktemp("world"))
    return empty


def test_an_empty_portal_says_what_to_do_next(empty: Site) -> None:
    visitor = empty.visitor()
    page = visitor.open("/admin/")
    assert page.inner_text(".empty-title") == "No servers yet"
    steps = [text.strip() for text in page.locator(".empty li").all_inner_texts()]
    assert steps == [
        "Set the patch source, or deploy an archive, so that there is something to serve.",
        "Add a key for servers to register with.",
        "Install the agent on a server and register it.",
    ]
    visitor.picture("overview-empty")
    page.get_by_role("link", name="Add a key").click()
    page.wait_for_url("**/admin/keys/add")
    visitor = empty.visitor("rob", narrow=True, dark=True)
    page = visitor.open("/admin/")
    assert page.get_by_role("link", name="Add a key").count() == 0
    assert "An administrator adds a key" in page.inner_text(".empty")
    visitor.picture("overview-empty-narrow-dark")
    keys.add(empty.portal, "FIRST")
    page = visitor.open("/admin/")
    assert "Key FIRST is there to register with." in page.inner_text(".empty")


def test_it_tells_of_servers(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open("/admin/")
    tiles = page.locator(".tile").all_inner_texts()
    assert [re.sub(r"\s+", " ", tile.strip()) for tile in tiles] == [
        "30 Servers",
        "19 Active",
        "11 Silent",
        "10 Up to date",
        "8 Behind",
        "1 Not supported",
    ]
    shown = page.locator("time").first
    assert shown.get_attribute("title").endswith("UTC")


def test_segments_lead_to_lists(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open("/admin/")
    assert page.locator(".donut circle.c-red title").text_content() == "Over 18 months: 5"
    # That segment ends at the top, turning clockwise: here is a point of the ring left of it.
    box = page.locator(".donut svg").first.bounding_box()
    ring = 15.9 / 42
    page.mouse.click(
        box["x"] + box["width"] * (0.5 - ring * 0.3),
        box["y"] + box["height"] * (0.5 - ring * 0.954),
    )
    page.wait_for_url("**/admin/servers?uptime_min=548")
    page = visitor.open("/admin/")
    # The list beside it leads to the same by keyboard.
    assert page.locator(".donut svg a:not([tabindex='-1'])").count() == 0
    assert page.locator(".donut li a[href$='uptime_min=548']").count() == 1


def test_tables_are_reached_by_keyboard(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open("/admin/")
    page.get_by_role("region", name="Effective kernels").focus()
    page.keyboard.press("Tab")
    focused = page.evaluate("document.activeElement.textContent")
    assert focused in page.inner_text("#content")
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/servers?*")


def test_systems_beyond_the_first_ten_have_a_page(here: Site) -> None:
    visitor = here.visitor("rob")
    page = visitor.open("/admin/")
    page.get_by_role("link", name="4 others").click()
    page.wait_for_url("**/admin/overview/distro")
    assert page.inner_text("h1") == "Operating systems"
    assert page.locator("tbody tr").count() == 12 + 2
    visitor.check()
    page.get_by_role("link", name="Overview").last.click()
    page.wait_for_url("**/admin/")


def test_pictures(here: Site) -> None:
    for name, options in (
        ("overview", {}),
        ("overview-dark", {"dark": True}),
        ("overview-narrow", {"narrow": True}),
        ("overview-narrow-dark", {"narrow": True, "dark": True}),
    ):
        visitor = here.visitor("rob", **options)
        visitor.open("/admin/")
        visitor.picture(name)
