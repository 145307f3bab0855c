"""The list of servers and the page of one, as people use them in a browser."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from eportal_core import db
from eportal_core.models import Checkin, Facts, Identity, Server, now
from eportal_core.operations import keys, servers
from tests.support.fleets import OTHER, Fleet
from tests.support.patches import WEB
from tests.support.ui import Site, Visitor, site

NODES = 3000
LIST = "/admin/servers"
PACKED_MAX = 60 * 1024


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A portal without servers; the first test sees it so."""
    with site(tmp_path_factory.mktemp("servers") / "var") as served:
        yield served


@pytest.fixture(scope="module")
def fleet(blank: Site, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """The small fleet, and 3,000 servers of the key NODES, of which 30 are tagged."""
    made = Fleet(blank.portal, tmp_path_factory.mktemp("archives"))
    keys.add(blank.portal, "NODES")
    keys.add(blank.portal, "FULL", server_limit=1)
    with db.database.atomic():
        for number in range(NODES):
            ip = f"10.9.{number // 250}.{number % 250}"
            server = servers.register(blank.portal, "NODES", f"node{number:04}", ip)
            if number % 100 == 0:
                servers.set_tags(blank.portal, server.id, "rack:7")
    return made


@pytest.fixture
def here(blank: Site, fleet: Fleet) -> Site:
    return blank


def names(page: Any) -> list[str]:
    """The host names in the list."""
    found: list[str] = page.locator("tbody tr td a[href^='/admin/servers/']").all_inner_texts()
    return found


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()
    page.wait_for_load_state()


def follow(page: Any, name: str) -> None:
    page.get_by_role("link", name=name, exact=True).click()
    page.wait_for_load_state()


def tick(page: Any, *hosts: str) -> None:
    for host in hosts:
        page.get_by_label(f"Select {host}", exact=True).check()


def tags_of(hostname: str) -> str | None:
    found: str | None = Facts.get(Facts.hostname == hostname).tags
    return found


def test_without_servers_it_says_what_to_do(blank: Site) -> None:
    assert not Server.select().count(), "this one stands before those that make servers"
    page = blank.visitor().open(LIST)
    assert "No servers yet" in page.inner_text("main")
    assert page.locator("table").count() == 0
    assert page.get_by_role("link", name="Make a key").get_attribute("href") == "/admin/keys"
    page = blank.visitor("rob").open(LIST)
    assert page.get_by_role("link", name="Make a key").count() == 0


# Find


def test_the_counters_lead_to_the_servers_they_count(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(LIST)
    assert page.locator(".totals a").all_inner_texts() == [
        "3,006 total",
        "3 active",
        "3,003 silent",
    ]
    page.locator(".totals a", has_text="active").click()
    assert sorted(names(page)) == ["db1", "lab_1", "web1"]
    page.get_by_role("link", name="Checked in within 48 hours: yes").click()
    page.wait_for_url(f"**{LIST}")
    assert len(names(page)) == 50
    visitor.check()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10.0.0.", 3),
        ("10.0.1.", 2),
        ("LAB_", 1),
        ("ubuntu", 2),
        ("K-tes", 1),
        ("100%", 0),
        ("<b>", 0),
    ],
)
def test_one_field_searches_all(here: Site, text: str, found: int) -> None:
    visitor = here.visitor()
    page = visitor.open(LIST)
    page.get_by_role("searchbox").fill(text)
    press(page, "Filter")
    assert len(names(page)) == found
    assert page.get_by_role("searchbox").input_value() == text
    if not found:
        assert "No server is like this" in page.inner_text("main")
    visitor.check()


def test_an_id_is_found(here: Site, fleet: Fleet) -> None:
    page = here.visitor().open(f"{LIST}?search={fleet.id_of['web2'][2:12]}")
    assert names(page) == ["web2"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=uptodate", "lab_1 web1"),
        ("state=outofdate", ""),
        ("state=unsupported", "db1"),
        ("is_updated=false", "web2 web3"),
        ("behind=2", "web3"),
        ("feed=test", "lab_1"),
        ("product=libcare&hostname=%251&feed=test", "lab_1"),
        ("distro=Debian", "web1 web2"),
        ("virt=kvm&checkin_age=-3", "db1"),
        (f"kernel_id={OTHER}", "db1"),
        ("patchset=K20260201_01", "web2"),
        ("tag=env:prod", "web1"),
        ("active=true&sort=hostname", "db1 lab_1 web1"),
    ],
)
def test_every_argument_of_the_api_filters_and_can_be_removed(
    here: Site, query: str, found: str
) -> None:
    page = here.visitor().open(f"{LIST}?{query}")
    assert sorted(names(page)) == found.split()
    chips = page.locator(".chips .badge")
    assert chips.count() == len([part for part in query.split("&") if "sort" not in part])
    chips.first.click()
    page.wait_for_load_state()
    assert page.locator(".chips .badge").count() == query.replace("&sort=hostname", "").count("&")


def test_a_choice_filters_at_once_and_keeps_the_other_filters(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(f"{LIST}?virt=kvm&sort=hostname")
    page.get_by_label("State").select_option("Not supported")
    page.wait_for_url("**state=unsupported**")
    assert names(page) == ["db1"]
    assert "virt=kvm" in page.url
    assert "sort=hostname" in page.url


def test_what_is_no_filter_is_said_in_a_sentence(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(f"{LIST}?checkin_age=soon", 422)
    assert visitor.told().startswith("checkin_age: write days as 3")
    assert page.locator(".chips .badge").count() == 1
    page = visitor.open(f"{LIST}?cursor=nonsense", 422)
    assert visitor.told() == "cursor: write it as the page before had it."


# Order and pages


@pytest.mark.parametrize("width", [1280, 1440, 1600, 1920])
def test_the_list_fits_a_window(here: Site, fleet: Fleet, width: int) -> None:
    """Long host names, IPv6 and tags among it; what has no place is on the server's own page."""
    server = Facts.get(Facts.server == fleet.id_of["web2"])
    usual = {"hostname": server.hostname, "ip": server.ip}
    long = {
        "hostname": "a-long-name.of-a-rack.in-a-room.example.com",
        "ip": "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
    }
    visitor = here.visitor()
    before = visitor.page.viewport_size
    visitor.page.set_viewport_size({"width": width, "height": 800})
    try:
        Facts.update(**long).where(Facts.server == server.server_id).execute()
        page = visitor.open(f"{LIST}?key={server.key}")
        assert long["hostname"] in names(page)
        region = page.get_by_role("region", name="Servers")
        assert region.evaluate("each => each.scrollWidth - each.clientWidth") <= 0
        visitor.picture(f"servers-{width}")
    finally:
        Facts.update(**usual).where(Facts.server == server.server_id).execute()
        visitor.page.set_viewport_size(before)


def test_a_heading_sorts_and_turns(here: Site) -> None:
    page = here.visitor().open(f"{LIST}?feed=main&active=true")
    follow(page, "Host name")
    assert names(page) == ["db1", "web1"]
    assert page.locator("th[aria-sort=ascending]").text_content() == "Host name"
    follow(page, "Host name")
    assert names(page) == ["web1", "db1"]
    assert page.locator("th[aria-sort=descending]").text_content() == "Host name"
    follow(page, "Check-in")
    assert names(page) == ["web1", "db1"]


def test_pages_lead_through_all_of_the_list_and_back(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(f"{LIST}?key=NODES&sort=hostname&limit=500")
    assert page.get_by_role("link", name="Previous").count() == 0
    seen = [names(page)]
    while page.get_by_role("link", name="Next", exact=True).count():
        follow(page, "Next")
        seen.append(names(page))
    assert [name for part in seen for name in part] == [f"node{n:04}" for n in range(NODES)]
    assert "2,501-3,000 of 3,000" in page.inner_text(".paging")
    back = [names(page)]
    while page.get_by_role("link", name="Previous", exact=True).count():
        follow(page, "Previous")
        back.append(names(page))
    assert back[::-1] == seen
    assert "1-500 of 3,000" in page.inner_text(".paging")
    follow(page, "Last")
    assert names(page) == seen[-1]
    follow(page, "Previous")
    assert names(page) == seen[-2]
    follow(page, "First")
    assert names(page) == seen[0]
    visitor.check()


def test_thirty_servers_are_one_page(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(f"{LIST}?tag=rack:7")
    assert len(names(page)) == 30
    assert "1-30 of 30" in page.inner_text(".paging")
    assert page.locator(".paging a").count() == 0
    visitor.picture("servers-thirty")


@pytest.mark.parametrize("query", ["", "?limit=500", "?limit=500&key=NODES"])
def test_a_page_is_small(here: Site, query: str) -> None:
    page = here.visitor().open(LIST)
    body = page.request.get(f"{here.served.url}{LIST}{query}").body()
    assert len(gzip.compress(body)) < PACKED_MAX


def test_what_is_filtered_is_exported(here: Site) -> None:
    page = here.visitor().open(f"{LIST}?tag=rack:7&sort=hostname")
    address = page.get_by_role("link", name="Export as CSV").get_attribute("href")
    answer = page.request.get(f"{here.served.url}{address}")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text())))
    assert [row["hostname"] for row in rows] == [f"node{n:04}" for n in range(0, NODES, 100)]
    assert rows[0].keys() >= {"id", "ip", "key", "feed", "checkin", "patch_level", "tags"}
    everything = page.request.get(f"{here.served.url}{LIST}/export").text()
    assert everything.count("\n") == NODES + 7


# One server


def test_a_server_with_all_that_is_known(here: Site, fleet: Fleet) -> None:
    visitor = here.visitor("rob")
    page = visitor.open(f"{LIST}?search=web2")
    page.get_by_role("link", name="web2", exact=True).click()
    page.wait_for_url(f"**{LIST}/{fleet.id_of['web2']}")
    text = page.inner_text("main")
    for part in ("K20260201_01", "K-main", "10.0.0.2", "Debian", WEB, "env:test", "KernelCare"):
        assert part in text
    assert "1 level behind" in text
    assert page.get_by_role("button", name="Delete").count() == 0
    assert page.get_by_label("Tags").count() == 0
    visitor.check()


def test_its_history_of_levels_keys_and_tags(here: Site) -> None:
    server = servers.register(here.portal, "K-main", "moved1", "10.0.3.1")
    for level in (1, 2):
        moment = now() + timedelta(seconds=level)
        wanted = Facts.update(kernel_id=WEB, patch_level=level, updated=moment)
        wanted.where(Facts.server == server.id).execute()
    servers.set_tags(here.portal, server.id, "a;b")
    servers.set_tags(here.portal, server.id, "b;c")
    servers.move(here.portal, [server.id], "K-test")
    page = here.visitor().open(f"{LIST}/{server.id}")
    told = [
        re.sub(r"^.*?\d\d:\d\d(:\d\d)? ?", "", line)
        for line in page.locator(".happened li").all_inner_texts()
    ]
    assert told == [
        "Runs level 2, K20260201_01.",
        "Runs level 1, K20260101_01.",
        "Moved from key K-main to K-test. by system",
        "Tagged c; Untagged a. by system",
        "Tagged a, b. by system",
        "Registered with key K-main. by system",
    ]
    servers.unregister(here.portal, server.id)
    assert "There is no server" in here.visitor().open(f"{LIST}/{server.id}", 404).inner_text(
        "main"
    )


def test_clones_are_warned_of(here: Site, fleet: Fleet) -> None:
    for name, returns in (("twin1", 1), ("twin2", 0)):
        Identity.create(
            server=fleet.id_of["web3"],
            hostname=name,
            first_seen=now(),
            last_seen=now(),
            returns=returns,
        )
    visitor = here.visitor()
    page = visitor.open(f"{LIST}/{fleet.id_of['web3']}")
    assert "twin1, twin2 checked in by turns" in visitor.told()
    page = visitor.open(f"{LIST}?search=web3")
    assert "Clones" in page.inner_text("tbody")


def test_tags_are_changed_on_the_page_of_a_server(here: Site, fleet: Fleet) -> None:
    visitor = here.visitor()
    page = visitor.open(f"{LIST}/{fleet.id_of['db1']}")
    page.get_by_label("Tags", exact=True).last.fill("x" * 100 + "\u0007")
    press(page, "Save the tags")
    assert "printable" in visitor.told()
    page.get_by_label("Tags", exact=True).last.fill(" role:db ; big ")
    press(page, "Save the tags")
    assert visitor.told() == "Its tags were saved."
    assert tags_of("db1") == "role:db;big"
    visitor.check()


# With selected


def test_selected_servers_are_tagged_and_untagged(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(f"{LIST}?key=NODES&sort=hostname")
    tick(page, "node0001", "node0002")
    press(page, "Tag")
    assert page.inner_text("h1") == "Tag 2 servers"
    assert "node0001, node0002." in page.inner_text("main")
    page.get_by_label("Tags").fill(" ; ")
    press(page, "Tag")
    assert visitor.told() == "Write at least one tag."
    page.get_by_label("Tags").fill("blue; new")
    press(page, "Tag")
    assert visitor.told() == "2 servers were tagged blue, new."
    assert "key=NODES" in page.url
    assert tags_of("node0001") == tags_of("node0002") == "blue;new"
    tick(page, "node0001")
    press(page, "Untag")
    page.get_by_label("Tags").fill("new")
    press(page, "Untag")
    assert visitor.told() == "1 server was untagged new."
    assert (tags_of("node0001"), tags_of("node0002")) == ("blue", "blue;new")
    visitor.check()


def test_all_that_the_filter_finds_is_tagged(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(f"{LIST}?hostname=node1%25")
    page.get_by_label("All 1,000 that the filter finds").check()
    press(page, "Tag")
    assert page.inner_text("h1") == "Tag 1,000 servers"
    assert "and 990 more" in page.inner_text("main")
    page.get_by_label("Tags").fill("thousand")
    press(page, "Tag")
    page.get_by_text("1,000 servers were tagged thousand.").wait_for(timeout=60_000)
    assert Facts.select().where(Facts.tags.contains("thousand")).count() == 1000
    visitor.check()


def test_one_box_ticks_the_page(here: Site) -> None:
    page = here.visitor().open(LIST)
    page.get_by_label("Select all of this page").check()
    press(page, "Untag")
    assert page.inner_text("h1") == "Untag 50 servers"
    follow(page, "Cancel")
    assert page.url.endswith(LIST)


def test_without_any_selected_it_says_so(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(f"{LIST}?feed=test")
    press(page, "Delete")
    assert visitor.told().startswith("Select servers first")
    assert page.url.endswith("?feed=test")
    visitor.open(f"{LIST}/tag")
    assert visitor.told().startswith("Select servers first")


def test_servers_move_to_a_key_that_has_place(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(f"{LIST}?hostname=node000%25&sort=hostname")
    tick(page, "node0003", "node0004")
    press(page, "Move to a key")
    page.get_by_label("Key").select_option("FULL")
    press(page, "Move")
    assert visitor.told().startswith("Key FULL has 0 of 1 servers, and no place for 2 more")
    assert page.get_by_label("Key").input_value() == "FULL"
    page.get_by_label("Key").select_option("K-test")
    press(page, "Move")
    assert visitor.told() == "2 servers were moved to key K-test."
    moved = Server.select().where(Server.key == "K-test", Server.hostname.startswith("node"))
    assert sorted(row.hostname for row in moved) == ["node0003", "node0004"]
    visitor.check()


def test_servers_are_deleted_after_it_was_said_how_many(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(f"{LIST}?hostname=node29%25")
    page.get_by_label("All 100 that the filter finds").check()
    press(page, "Delete")
    assert page.inner_text("h1") == "Delete 100 servers?"
    assert "have to register" in page.inner_text("main")
    visitor.picture("servers-delete")
    for number in range(2):
        servers.register(here.portal, "NODES", f"node29late{number}", "10.8.0.1")
    press(page, "Delete")
    assert visitor.told().startswith("There are more of them by now")
    assert page.inner_text("h1") == "Delete 102 servers?"
    press(page, "Delete")
    assert visitor.told() == "102 servers were deleted."
    assert not Server.select().where(Server.hostname.startswith("node29")).exists()
    visitor.check()


def test_without_a_filter_not_all_servers_are_deleted(here: Site) -> None:
    before = Server.select().count()
    visitor = here.visitor()
    page = visitor.open(LIST)
    page.locator("input[name=all]").check()
    press(page, "Delete")
    assert visitor.told().startswith("Filter the servers first")
    assert Server.select().count() == before


def test_a_server_that_checked_in_meanwhile_is_not_deleted_with_the_silent(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(f"{LIST}?active=false&hostname=node27%25")
    page.get_by_label("All 100 that the filter finds").check()
    press(page, "Delete")
    lucky = Facts.get(Facts.hostname == "node2750").server_id
    Checkin.update(time=now()).where(Checkin.server == lucky).execute()
    press(page, "Delete")
    assert visitor.told() == "99 servers were deleted."
    assert Server.get_or_none(id=lucky) is not None


# Who may look, and how


def test_readonly_users_see_all_and_change_nothing(here: Site, fleet: Fleet) -> None:
    visitor = here.visitor("rob")
    page = visitor.open(LIST)
    assert len(names(page)) == 50
    assert page.locator("input[type=checkbox]").count() == 0
    assert page.get_by_role("button", name="Delete").count() == 0
    token = next(each["value"] for each in page.context.cookies() if "csrf" in each["name"])
    one = fleet.id_of["web1"]
    for path in ("tag", "untag", "move", "remove", f"{one}/tags"):
        form = {"server": one, "sure": "true", "tags": "x", "key": "NODES", "csrftoken": token}
        answer = page.request.post(f"{here.served.url}{LIST}/{path}", form=form)
        assert answer.status == 403, path
    assert tags_of("web1") == "env:prod;ubuntu"


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_telephone_by_day_and_night(here: Site, fleet: Fleet, dark: bool) -> None:
    visitor = here.visitor(narrow=True, dark=dark)
    shade = "dark" if dark else "light"
    for path, name in (
        (f"{LIST}?feed=main&active=true&virt=kvm", "list"),
        (LIST, "list-long"),
        (f"{LIST}/{fleet.id_of['web1']}", "one"),
    ):
        visitor.open(path)
        visitor.picture(f"servers-{name}-narrow-{shade}")
    wide: Visitor = here.visitor(dark=dark)
    wide.open(LIST)
    wide.picture(f"servers-{shade}")
    wide.open(f"{LIST}/{fleet.id_of['web1']}")
    wide.picture(f"server-{shade}")


def test_the_keyboard_is_enough(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(LIST)
    reach(page, "f-search")
    page.keyboard.type("node0042")
    page.keyboard.press("Enter")
    page.wait_for_url("**search=node0042**")
    reach_named(page, "Select node0042")
    page.keyboard.press("Space")
    for _ in range(60):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.textContent") == "Tag":
            break
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{LIST}/tag")
    reach(page, "f-tags")
    page.keyboard.type("by-hand")
    page.keyboard.press("Enter")
    page.wait_for_url("**search=node0042**")
    assert visitor.told() == "1 server was tagged by-hand."
    visitor.check()


def reach(page: Any, name: str) -> None:
    """Tab until the element has the focus."""
    for _ in range(80):
        if page.evaluate("document.activeElement.id") == name:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{name} cannot be reached")


def reach_named(page: Any, label: str) -> None:
    for _ in range(120):
        if page.evaluate("document.activeElement.ariaLabel") == label:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{label} cannot be reached")
