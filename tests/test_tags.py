"""Tags of servers: how many have each, assign, rename, remove; and what is kept beside servers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from eportal_core import db
from eportal_core.db import history
from eportal_core.errors import InvalidValue
from eportal_core.models import Facts, LevelHistory, Server, Tag, now
from eportal_core.operations import keys, many_servers, servers
from eportal_core.queries import tags
from tests.support.ui import Site, site

LIST = "/admin/tags"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("tags") / "var") as served:
        keys.add(served.portal, "K")
        yield served


@pytest.fixture
def fleet(here: Site) -> Iterator[dict[str, str]]:
    """Ids of four servers by their names."""
    made = {}
    for number, (name, given) in enumerate(
        {"web1": "env:prod;web", "web2": "env:test;web", "db1": "env:prod", "bare1": ""}.items()
    ):
        made[name] = servers.register(here.portal, "K", name, f"10.0.0.{number + 1}").id
        servers.set_tags(here.portal, made[name], given)
    yield made
    with db.database.atomic():
        servers.drop(Server.select())


def counts() -> dict[str, int]:
    return {row.tag: row.servers for row in Tag.select()}


def tags_of(server: str) -> str | None:
    found: str | None = Server.get_by_id(server).tags
    return found


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()
    page.wait_for_load_state()


def cells(page: Any) -> list[list[str]]:
    return [row.locator("td").all_inner_texts()[:2] for row in page.locator("tbody tr").all()]


# What is counted


def test_counts_follow_tags_and_servers(here: Site, fleet: dict[str, str]) -> None:
    assert counts() == {"env:prod": 2, "env:test": 1, "web": 2}
    servers.set_tags(here.portal, fleet["web2"], "env:prod")
    assert counts() == {"env:prod": 3, "web": 1}
    servers.unregister(here.portal, fleet["web1"])
    assert counts() == {"env:prod": 2}


def test_pages_of_tags_lead_there_and_back(here: Site, fleet: dict[str, str]) -> None:
    servers.set_tags(here.portal, fleet["bare1"], ";".join(f"t{n}" for n in range(7)))
    first = tags.page(3, search="t")
    assert [each.tag for each in first.tags] == ["env:test", "t0", "t1"]
    assert (first.has_before, first.has_after) == (False, True)
    second = tags.page(3, search="t", after="t1")
    assert [each.tag for each in second.tags] == ["t2", "t3", "t4"]
    back = tags.page(3, search="t", before="t2")
    assert ([each.tag for each in back.tags], back.has_before) == (["env:test", "t0", "t1"], False)


def test_levels_are_kept_when_they_change_and_no_more_than_some(
    here: Site, fleet: dict[str, str]
) -> None:
    server, began = fleet["web1"], now()

    def reports(level: int, after: int) -> None:
        moment = began + timedelta(seconds=after)
        wanted = Facts.update(kernel_id="k", patch_level=level, updated=moment)
        wanted.where(Facts.server == server).execute()

    def levels() -> list[int]:
        rows = LevelHistory.select().order_by(LevelHistory.time)
        return [row.patch_level for row in rows]

    reports(3, 1)
    reports(3, 2)
    assert levels() == [3]
    for level in range(4, 4 + history.LEVELS_MAX):
        reports(level, level)
    assert levels() == list(range(4, 4 + history.LEVELS_MAX))
    servers.unregister(here.portal, server)
    assert levels() == []


@pytest.mark.parametrize("text", ["", " ; ", "a;b", "x" * 1001, "a\u0007"])
def test_what_is_not_one_tag_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        many_servers.one_tag(text)


# The page


def test_the_list_leads_to_the_servers(here: Site, fleet: dict[str, str]) -> None:
    visitor = here.visitor()
    page = visitor.open(LIST)
    assert cells(page) == [["env:prod", "2"], ["env:test", "1"], ["web", "2"]]
    visitor.picture("tags-light")
    page.get_by_role("link", name="env:prod", exact=True).click()
    page.wait_for_url("**/servers?tag=env%3Aprod")
    assert "1-2 of 2" in page.inner_text(".paging")
    page = visitor.open(f"{LIST}?search=ENV")
    assert [row[0] for row in cells(page)] == ["env:prod", "env:test"]
    assert "No tag is like this" in visitor.open(f"{LIST}?search=nobody").inner_text("main")


def test_without_tags_it_says_what_to_do(here: Site) -> None:
    page = here.visitor().open(LIST)
    assert "No tags yet" in page.inner_text("main")
    page.get_by_role("link", name="Assign the first one").click()
    page.wait_for_url(f"**{LIST}/assign")


def test_tags_are_assigned_to_servers_that_are_named(here: Site, fleet: dict[str, str]) -> None:
    visitor = here.visitor()
    page = visitor.open(LIST)
    page.get_by_role("link", name="Assign web", exact=True).click()
    assert page.get_by_label("Tags").input_value() == "web"
    page.get_by_label("Tags").fill("web; new")
    page.get_by_label("Servers", exact=True).fill(f"DB1\n10.0.0.4\n\nnobody\n{fleet['web1']}")
    press(page, "Assign")
    assert visitor.told() == "There is no server nobody."
    assert tags_of(fleet["db1"]) == "env:prod"
    lines = page.get_by_label("Servers", exact=True)
    lines.fill(lines.input_value().replace("nobody", ""))
    press(page, "Assign")
    assert visitor.told() == "3 servers tagged web, new."
    assert tags_of(fleet["db1"]) == "env:prod;web;new"
    assert tags_of(fleet["bare1"]) == "web;new"
    assert tags_of(fleet["web1"]) == "env:prod;web;new"
    assert tags_of(fleet["web2"]) == "env:test;web"
    visitor.check()


def test_a_tag_is_renamed_into_one_that_is_there(here: Site, fleet: dict[str, str]) -> None:
    visitor = here.visitor()
    page = visitor.open(LIST)
    page.get_by_role("link", name="Rename env:test", exact=True).click()
    assert "1 server has this tag" in page.inner_text("main")
    page.get_by_label("New name").fill("env:prod;x")
    press(page, "Rename")
    assert visitor.told() == "Write one tag, without a semicolon."
    assert page.get_by_label("New name").input_value() == "env:prod;x"
    page.get_by_label("New name").fill("env:prod")
    press(page, "Rename")
    assert visitor.told() == "Tag env:test of 1 server is env:prod now."
    assert counts() == {"env:prod": 3, "web": 2}
    assert tags_of(fleet["web2"]) == "env:prod;web"
    visitor.check()


def test_a_tag_is_removed_and_its_servers_stay(here: Site, fleet: dict[str, str]) -> None:
    visitor = here.visitor()
    page = visitor.open(LIST)
    page.get_by_role("link", name="Remove web", exact=True).click()
    assert "taken from 2 servers; the servers stay" in page.inner_text("main")
    press(page, "Remove")
    assert visitor.told() == "Tag web was removed from 2 servers."
    assert counts() == {"env:prod": 2, "env:test": 1}
    assert Server.select().count() == 4
    visitor.open(f"{LIST}/rename?tag=web", 404)
    visitor.check()


def test_a_tag_like_markup_is_a_text(here: Site, fleet: dict[str, str]) -> None:
    evil = "<script>alert(1)</script>&\"'"
    servers.set_tags(here.portal, fleet["bare1"], evil)
    visitor = here.visitor()
    page = visitor.open(LIST)
    assert cells(page)[0] == [evil, "1"]
    page.get_by_role("link", name=evil, exact=True).click()
    page.wait_for_load_state()
    assert evil in page.inner_text("tbody")
    visitor.open(f"/admin/servers/{fleet['bare1']}")


def test_readonly_users_change_no_tags(here: Site, fleet: dict[str, str]) -> None:
    visitor = here.visitor("rob")
    page = visitor.open(LIST)
    assert page.locator("main .btn", has_text="Assign").count() == 0
    assert page.locator("main .btn", has_text="Remove").count() == 0
    for path in ("assign", "rename?tag=web", "remove?tag=web"):
        visitor.open(f"{LIST}/{path}", 403)
    assert counts() == {"env:prod": 2, "env:test": 1, "web": 2}


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_telephone(here: Site, fleet: dict[str, str], dark: bool) -> None:
    visitor = here.visitor(narrow=True, dark=dark)
    for path in ("", "/assign", "/rename?tag=web", "/remove?tag=web"):
        visitor.open(f"{LIST}{path}")
    visitor.open(LIST)
    visitor.picture(f"tags-narrow-{'dark' if dark else 'light'}")
