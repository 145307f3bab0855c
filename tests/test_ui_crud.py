"""Keys, feeds, users, API keys and sessions, as people change them in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from eportal_core.errors import NotFound
from eportal_core.models import Key, Server, User
from eportal_core.operations import feeds, keys, users
from eportal_core.types import Identity
from tests.support.ui import PASSWORD, Site, site


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("crud") / "var") as served:
        yield served


def save(page: Any, button: str = "Save") -> None:
    page.get_by_role("button", name=button, exact=True).click()
    page.wait_for_load_state()


def row(page: Any, name: str) -> list[str]:
    """The cells of the line that begins with ``name``."""
    line = page.locator("tbody tr").filter(has=page.get_by_role("link", name=name, exact=True))
    return [text.strip() for text in line.first.locator("td").all_inner_texts()]


def test_a_key_is_added(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open("/admin/keys")
    page.get_by_role("link", name="Add a key").click()
    page.get_by_label("Key", exact=True).fill("PRAGUE")
    page.get_by_label("Server limit").fill("20")
    page.get_by_label("Note").fill("<b>Web</b> servers")
    page.get_by_label("LibCare").uncheck()
    save(page)
    assert visitor.told() == "Key PRAGUE was added."
    cells = row(page, "PRAGUE")
    assert cells[1] == "0 / 20"
    assert "KernelCare" in cells[2]
    assert "LibCare" not in cells[2]
    assert cells[3:5] == ["main", "<b>Web</b> servers"]
    visitor.check()
    assert keys.get("PRAGUE").server_limit == 20
    page.reload()
    assert page.locator(".alert").count() == 0


def test_a_key_without_a_name_gets_one(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open("/admin/keys/add")
    save(page)
    name = visitor.told().split()[1]
    assert len(name) == 16
    assert keys.get(name).enabled
    # It has the default products, also those of plugins that are not installed yet.
    assert keys.get(name).products is None


def test_what_is_wrong_is_said_and_what_was_typed_is_kept(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open("/admin/keys/add")
    page.get_by_label("Key", exact=True).fill("../etc")
    page.get_by_label("Note").fill("kept")
    page.get_by_label("Enabled").uncheck()
    page.get_by_label("LibCare").uncheck()
    save(page)
    assert visitor.told().startswith("'../etc' is no key")
    assert page.get_by_label("Note").input_value() == "kept"
    assert not page.get_by_label("Enabled").is_checked()
    assert not page.get_by_label("LibCare").is_checked()
    assert page.get_by_label("KernelCare").is_checked()
    page.get_by_label("Key", exact=True).fill("BRNO")
    save(page)
    assert visitor.told() == "Key BRNO was added."
    assert not keys.get("BRNO").enabled


def test_save_and_add_another(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open("/admin/keys/add")
    page.get_by_label("Key", exact=True).fill("ONE")
    save(page, "Save and Add Another")
    assert page.url.endswith("/admin/keys/add")
    assert visitor.told() == "Key ONE was added."
    assert page.get_by_label("Key", exact=True).input_value() == ""


def test_save_and_continue_editing_then_cancel(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open("/admin/keys/add")
    page.get_by_label("Key", exact=True).fill("TWO")
    save(page, "Save and Continue Editing")
    assert page.url.endswith("/admin/keys/edit?key=TWO")
    assert page.get_by_label("Key", exact=True).get_attribute("readonly") is not None
    page.get_by_label("Note").fill("never saved")
    page.get_by_role("link", name="Cancel").click()
    page.wait_for_url("**/admin/keys")
    assert keys.get("TWO").note == ""


def test_a_key_is_changed(here: Site) -> None:
    keys.add(here.portal, "THREE", note="before", server_limit=3)
    visitor = here.visitor()
    page = visitor.open("/admin/keys")
    page.get_by_role("link", name="THREE", exact=True).click()
    assert page.get_by_label("Note").input_value() == "before"
    page.get_by_label("Note").fill("")
    page.get_by_label("Server limit").fill("0")
    page.get_by_label("Enabled").uncheck()
    save(page)
    key = keys.get("THREE")
    assert (key.note, key.server_limit, key.enabled) == ("", 0, False)
    assert row(page, "THREE")[1] == "0 / no limit"


def test_a_number_that_is_none_is_refused(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open("/admin/keys/add")
    page.get_by_label("Key", exact=True).fill("FOUR")
    page.get_by_label("Server limit").fill("-1")
    page.locator("form[method=post]").last.evaluate("form => form.noValidate = true")
    save(page)
    assert visitor.told() == "The server limit is a number from 0, which is no limit."
    assert Key.get_or_none(key="FOUR") is None


def test_removing_a_key_says_what_goes_with_it(here: Site) -> None:
    keys.add(here.portal, "GOING")
    for number in range(3):
        here.served.register("GOING", f"web{number}")
    visitor = here.visitor()
    page = visitor.open("/admin/keys")
    assert row(page, "GOING")[1] == "3 / no limit"
    page.get_by_role("link", name="Remove GOING").click()
    assert "3 servers registered with it will be removed" in page.inner_text(".card")
    visitor.picture("keys-remove-servers")
    page.get_by_role("link", name="Cancel").click()
    page.wait_for_url("**/admin/keys")
    assert keys.get("GOING")
    page.get_by_role("link", name="Remove GOING").click()
    save(page, "Remove")
    assert visitor.told() == "Key GOING and 3 servers were removed."
    with pytest.raises(NotFound):
        keys.get("GOING")
    assert Server.select().where(Server.key == "GOING").count() == 0
    visitor.check()


def test_a_feed_is_added_changed_and_removed(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open("/admin/feeds")
    page.get_by_role("link", name="Add a feed").click()
    page.get_by_label("Name").fill("trial")
    page.get_by_label("Update automatically").check()
    page.get_by_label("Delay, hours").fill("48")
    page.get_by_label("Channel").select_option("test")
    save(page)
    assert visitor.told() == "Feed trial was added."
    assert row(page, "trial")[:4] == ["trial", "Automatic", "48 h", "test"]
    page.get_by_role("link", name="trial", exact=True).click()
    page.get_by_label("Update automatically").uncheck()
    save(page)
    assert not feeds.get("trial").auto
    keys.add(here.portal, "T1", feed="trial")
    keys.add(here.portal, "T2", feed="trial")
    here.served.register("T1")
    page.get_by_role("link", name="Remove trial").click()
    told = page.inner_text(".card")
    assert "2 keys with 1 server will move to the feed main" in told
    save(page, "Remove")
    assert visitor.told() == "Feed trial was removed; 2 keys moved to main."
    assert keys.get("T1").feed_id == "main"
    visitor.check()


def test_main_can_neither_go_nor_update_itself(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open("/admin/feeds")
    assert page.get_by_role("link", name="Remove main").count() == 0
    page = visitor.open("/admin/feeds/edit?name=main")
    assert page.get_by_label("Update automatically").count() == 0
    page = visitor.open("/admin/feeds/remove?name=main", 400)
    assert "main cannot be removed" in page.inner_text("main")


def test_a_feed_of_a_taken_name_is_refused(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open("/admin/feeds/add")
    page.get_by_label("Name").fill("main")
    page.get_by_label("Delay, hours").fill("7")
    save(page)
    assert visitor.told() == "Feed main exists already."
    assert page.get_by_label("Delay, hours").input_value() == "7"


def test_a_user_is_added_and_may_log_in(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open("/admin/users/add")
    page.get_by_label("Name").fill("eve & ops")
    page.get_by_label("Password").fill("abc")
    save(page)
    assert "at least" in visitor.told()
    assert page.get_by_label("Password").input_value() == ""
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Description").fill("On call")
    page.get_by_label("Role").select_option("admin")
    save(page)
    assert visitor.told() == "User eve & ops was added."
    assert not users.get("eve & ops").readonly
    page.get_by_role("link", name="eve & ops", exact=True).click()
    assert page.get_by_label("Description").input_value() == "On call"
    page.get_by_label("Role").select_option("readonly")
    save(page)
    assert users.get("eve & ops").readonly
    visitor.check()


def test_a_password_left_empty_stays(here: Site) -> None:
    users.add(here.portal, "max", PASSWORD, readonly=True)
    before = users.get("max").password
    visitor = here.visitor()
    page = visitor.open("/admin/users/edit?username=max")
    page.get_by_label("Description").fill("Still here")
    save(page)
    assert users.get("max").password == before
    page = visitor.open("/admin/users/edit?username=max")
    page.get_by_label("New password").fill(PASSWORD + "!")
    save(page)
    assert users.get("max").password != before


def test_the_password_of_a_user_of_another_backend_is_not_asked_for(here: Site) -> None:
    users.known_by(here.portal, Identity("lea", "directory"))
    visitor = here.visitor()
    page = visitor.open("/admin/users/edit?username=lea")
    assert page.locator("input[type=password]").count() == 0
    assert "not kept here, but by directory" in page.inner_text("main")


def test_the_only_administrator_stays_one(here: Site) -> None:
    for user in User.select().where(~User.readonly, User.username != "anna"):
        users.change(here.portal, user.username, readonly=True)
    visitor = here.visitor()
    page = visitor.open("/admin/users/edit?username=anna")
    page.get_by_label("Role").select_option("readonly")
    save(page)
    assert "anna is the only administrator" in visitor.told()
    page = visitor.open("/admin/users/remove?username=anna")
    assert "This is you: you will be logged out." in page.inner_text(".card")
    save(page, "Remove")
    assert "anna is the only administrator" in page.inner_text("main")


def test_removing_a_user(here: Site) -> None:
    users.add(here.portal, "tom", PASSWORD, readonly=True)
    visitor = here.visitor()
    page = visitor.open("/admin/users")
    page.get_by_role("link", name="Remove tom").click()
    assert "No API key and no session of this user will end." in page.inner_text(".card")
    save(page, "Remove")
    assert visitor.told() == "User tom was removed."
    assert users.find("tom") is None


def test_an_api_key_is_told_once_and_works(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open("/admin/api-keys/add")
    page.get_by_label("Name").fill("backup")
    page.get_by_label("May change things").check()
    save(page, "Add")
    token = page.locator("#token").inner_text()
    assert len(token) == 43
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == token
    visitor.check()
    visitor.picture("api-keys-made")
    headers = {"X-Api-Key": token}
    answer = requests.get(f"{here.served.url}/admin/api/keys", headers=headers, timeout=10)
    assert answer.status_code == 200
    page = visitor.open("/admin/api-keys")
    assert token not in page.content()
    assert "backup" in page.inner_text("tbody")
    answer = requests.get(f"{here.served.url}/admin/keys", headers=headers, timeout=10)
    assert answer.status_code == 403
    page.get_by_role("link", name="Remove backup").click()
    save(page, "Remove")
    assert visitor.told() == "The API key was removed."
    answer = requests.get(f"{here.served.url}/admin/api/keys", headers=headers, timeout=10)
    assert answer.status_code == 401


def test_a_readonly_user_sees_and_removes_his_own_api_keys_alone(here: Site) -> None:
    page = here.visitor("anna").open("/admin/api-keys/add")
    page.get_by_label("Name").fill("of anna")
    page.get_by_label("Lives for, days").fill("")
    save(page, "Add")
    visitor = here.visitor("rob")
    page = visitor.open("/admin/api-keys/add")
    assert page.get_by_label("May change things").count() == 0
    page.get_by_label("Name").fill("of rob")
    save(page, "Add")
    page = visitor.open("/admin/api-keys")
    assert "of anna" not in page.inner_text("main")
    page = here.visitor("anna").open("/admin/api-keys")
    assert "of rob" in page.inner_text("tbody")
    address = page.get_by_role("link", name="Remove of anna").get_attribute("href")
    visitor.open(address, 404)


def test_sessions_are_listed_and_ended(here: Site) -> None:
    users.add(here.portal, "sue", PASSWORD, readonly=True)
    visitor = here.visitor("sue")
    other = requests.Session()
    other.post(
        f"{here.served.url}/admin/login",
        data={"username": "sue", "password": PASSWORD},
        headers={"User-Agent": "Mozilla/5.0 (Windows NT 10.0; rv:140.0) Firefox/140.0"},
        timeout=10,
    )
    page = visitor.open("/admin/sessions")
    line = page.locator("tbody tr", has_text="Firefox 140 on Windows")
    assert line.count() == 1
    assert page.locator("tbody tr", has_text="This one").count() == 1
    line.get_by_role("button", name="End").click()
    page.wait_for_load_state()
    assert visitor.told() == "The session was ended."
    answer = other.get(f"{here.served.url}/admin/keys", allow_redirects=False, timeout=10)
    assert answer.status_code == 303
    assert page.locator("tbody tr").count() == 1
    visitor.check()


def test_an_administrator_sees_the_sessions_of_all(here: Site) -> None:
    users.add(here.portal, "kim", PASSWORD, readonly=True)
    here.visitor("kim")
    page = here.visitor("kim").open("/admin/sessions?of=all")
    assert page.inner_text("h1") == "Your sessions"
    visitor = here.visitor("anna")
    page = visitor.open("/admin/sessions")
    page.get_by_role("link", name="Of all users").click()
    page.locator("tbody tr", has_text="kim").get_by_role("button", name="End").click()
    page.wait_for_load_state()
    assert visitor.told() == "The session was ended."
    assert page.inner_text("h1") == "Sessions of all users"
    assert page.locator("tbody tr", has_text="kim").count() == 0
