"""What all pages share: the navigation, the user's menu, colours, errors, and who may come."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from eportal_core.operations import keys
from tests.support.accessibility import findings
from tests.support.ui import PASSWORD, Site, site

PAGES = (
    "/admin/",
    "/admin/keys",
    "/admin/feeds",
    "/admin/users",
    "/admin/api-keys",
    "/admin/api-keys/add",
    "/admin/sessions",
)
FOR_ADMINS = (
    "/admin/keys/add",
    "/admin/keys/edit?key=K1",
    "/admin/keys/remove?key=K1",
    "/admin/feeds/add",
    "/admin/feeds/edit?name=main",
    "/admin/users/add",
    "/admin/users/edit?username=rob",
    "/admin/users/remove?username=rob",
)
SENTENCE = ".empty-subtitle"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("shell") / "var") as served:
        keys.add(served.portal, "K1", note="The web servers in Prague and Brno", server_limit=20)
        yield served


def named(path: str) -> str:
    return path.removeprefix("/admin/").partition("?")[0].replace("/", "-") or "overview"


@pytest.mark.parametrize("path", [*PAGES, *FOR_ADMINS])
@pytest.mark.parametrize(
    ("narrow", "dark"),
    [(False, False), (False, True), (True, False)],
    ids=["light", "dark", "narrow"],
)
def test_an_administrator_sees_every_page(here: Site, path: str, dark: bool, narrow: bool) -> None:
    visitor = here.visitor("anna", narrow=narrow, dark=dark)
    page = visitor.open(path)
    assert page.locator("h1").count() == 1
    assert page.locator("html").get_attribute("data-bs-theme") == ("dark" if dark else "light")
    assert findings(page) == []
    visitor.picture(f"{named(path)}-{'dark' if dark else 'light'}{'-narrow' if narrow else ''}")


@pytest.mark.parametrize("path", PAGES)
def test_a_readonly_user_sees_every_page(here: Site, path: str) -> None:
    here.visitor("rob").open(path)


@pytest.mark.parametrize("path", ["/admin/keys", "/admin/feeds", "/admin/users"])
def test_a_readonly_user_has_no_buttons(here: Site, path: str) -> None:
    page = here.visitor("rob").open(path)
    main = page.locator(".shell-head .btn, .table .btn, .table form")
    assert main.count() == 0
    page = here.visitor("anna").open(path)
    assert page.locator(".shell-head .btn").count() == 1


@pytest.mark.parametrize("path", FOR_ADMINS)
def test_a_readonly_user_may_not_come_to_forms(here: Site, path: str) -> None:
    page = here.visitor("rob").open(path, 403)
    assert page.inner_text(SENTENCE) == "A readonly user may not do this."
    assert page.get_by_role("navigation", name="Pages").is_visible()


@pytest.mark.parametrize("path", ["/keys/add", "/feeds/add", "/users/add", "/users/remove"])
def test_a_readonly_user_may_not_post(here: Site, path: str) -> None:
    session = logged_in(here, "rob")
    answer = session.post(
        f"{here.served.url}/admin{path}",
        data={"csrftoken": session.cookies["starlette_admin_csrftoken"], "username": "anna"},
        timeout=10,
    )
    assert answer.status_code == 403
    assert "A readonly user may not do this." in answer.text


def test_a_form_without_its_token_changes_nothing(here: Site) -> None:
    session = logged_in(here, "anna")
    answer = session.post(f"{here.served.url}/admin/keys/add", data={"key": "K9"}, timeout=10)
    assert answer.status_code == 403
    assert "K9" not in [key.key for key in keys.Key.select()]


def test_a_form_of_another_site_changes_nothing(here: Site) -> None:
    session = logged_in(here, "anna")
    answer = session.post(
        f"{here.served.url}/admin/keys/add",
        data={"key": "K9", "csrftoken": session.cookies["starlette_admin_csrftoken"]},
        headers={"Origin": "https://elsewhere.example.com"},
        timeout=10,
    )
    assert answer.status_code == 403
    assert "another site" in answer.text


@pytest.mark.parametrize("path", ["/admin/keys", "/admin/keys/edit?key=K1"])
def test_who_has_not_logged_in_is_led_to_the_login_and_back(here: Site, path: str) -> None:
    answer = requests.get(f"{here.served.url}{path}", allow_redirects=False, timeout=10)
    assert answer.status_code == 303
    where = answer.headers["location"]
    assert where.startswith("/admin/login?next=/admin/")
    page = here.running.new_page()
    page.goto(f"{here.served.url}{path}")
    page.get_by_label("User name").fill("rob")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    page.wait_for_url(f"{here.served.url}{path}")
    page.close()


def test_the_index_page_is_public(here: Site) -> None:
    page = here.running.new_page()
    assert page.goto(f"{here.served.url}/admin/").status == 200
    assert "Total number of servers" in page.inner_text("body")
    assert findings(page) == []
    page.get_by_role("link", name="Log in").click()
    page.wait_for_url("**/admin/login")
    page.close()


def test_the_navigation_is_as_documented(here: Site) -> None:
    page = here.visitor().open("/admin/keys")
    navigation = page.get_by_role("navigation", name="Pages")
    assert navigation.locator("h2").all_inner_texts() == ["Servers", "Live patching", "Settings"]
    assert navigation.locator("a").all_inner_texts() == [
        "Overview",
        "Servers",
        "Server tags",
        "User log",
        *sorted_titles(here),
        "Feeds",
        "Keys",
        "Patch source",
        "LDAP",
        "Single sign-on",
        "API keys",
        "Users",
        "Jobs",
        "Storage",
        "Docs",
    ]
    assert navigation.locator("[aria-current=page]").all_inner_texts() == ["Keys"]


def sorted_titles(here: Site) -> list[str]:
    """KernelCare, which is what agents check in for, then the rest; what costs extra comes last."""
    products = here.portal.products.values()
    order = sorted(products, key=lambda each: (not each.checkin, not each.default, each.title))
    return [product.title for product in order]


def test_an_unknown_page_is_told_of_in_the_look_of_the_rest(here: Site) -> None:
    page = here.visitor().open("/admin/nothing", 404)
    assert page.inner_text(SENTENCE) == "There is no such page."
    page.get_by_role("link", name="Go to the overview").click()
    page.wait_for_url("**/admin/")


def test_the_api_answers_json_for_what_is_not_there(here: Site) -> None:
    answer = requests.get(f"{here.served.url}/admin/api/nothing", timeout=10)
    assert (answer.status_code, answer.json()["error"]) == (404, "not-found")
    answer = requests.put(f"{here.served.url}/admin/api/feeds", timeout=10)
    assert (answer.status_code, answer.json()["error"]) == (405, "method-not-allowed")


def test_a_key_that_is_not_there(here: Site) -> None:
    page = here.visitor().open("/admin/keys/edit?key=none", 404)
    assert page.inner_text(SENTENCE) == "There is no key none."


def test_a_nul_in_an_address(here: Site) -> None:
    page = here.visitor().open("/admin/keys/edit?key=%00", 400)
    assert page.inner_text(SENTENCE) == "An argument holds a NUL character."


def test_the_colours_can_be_chosen_and_stay(here: Site) -> None:
    page = here.visitor().open("/admin/")
    page.locator("summary", has_text="anna").click()
    page.get_by_role("button", name="Dark").click()
    assert page.locator("html").get_attribute("data-bs-theme") == "dark"
    page.reload()
    assert page.locator("html").get_attribute("data-bs-theme") == "dark"
    page.locator("summary", has_text="anna").click()
    page.get_by_role("button", name="Auto").click()
    assert page.locator("html").get_attribute("data-bs-theme") == "light"
    page.keyboard.press("Escape")
    assert not page.get_by_role("button", name="Auto").is_visible()


def test_times_are_in_the_zone_of_whoever_looks(here: Site) -> None:
    page = here.visitor().open("/admin/users")
    time = page.locator("time").first
    utc = time.get_attribute("title")
    assert utc.endswith(" UTC")
    hour = (int(utc[11:13]) + 9) % 24
    assert f"{hour:02}:{utc[14:16]}" in time.inner_text()


def test_the_keyboard_is_enough(here: Site) -> None:
    page = here.visitor().open("/admin/keys")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Your sessions").wait_for()


def test_on_a_telephone_the_navigation_opens_by_a_button(here: Site) -> None:
    visitor = here.visitor(narrow=True)
    page = visitor.open("/admin/keys")
    link = page.get_by_role("navigation", name="Pages").get_by_role("link", name="Feeds")
    assert not link.is_visible()
    page.get_by_role("button", name="Menu").click()
    visitor.check()
    visitor.picture("navigation-narrow")
    link.click()
    page.wait_for_url("**/admin/feeds")


def test_without_scripts_everything_is_there(here: Site) -> None:
    context = here.running.new_context(
        java_script_enabled=False, viewport={"width": 390, "height": 800}
    )
    page = context.new_page()
    page.goto(f"{here.served.url}/admin/login?next=/admin/keys")
    page.get_by_label("User name").fill("anna")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    page.get_by_role("link", name="Users").click()
    assert "UTC" in page.locator("time").first.inner_text()
    context.close()


def test_logging_out_ends_the_session(here: Site) -> None:
    context = here.running.new_context()
    page = context.new_page()
    page.goto(f"{here.served.url}/admin/login")
    page.get_by_label("User name").fill("rob")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    page.locator("summary", has_text="rob").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/admin/login")
    page.goto(f"{here.served.url}/admin/keys")
    assert "/admin/login" in page.url
    context.close()


def test_files_are_kept_for_long_by_the_name_of_their_content(here: Site) -> None:
    session = logged_in(here, "rob")
    text = session.get(f"{here.served.url}/admin/keys", timeout=10).text
    address = next(part for part in text.split('"') if "portal.css?" in part)
    answer = session.get(f"{here.served.url}{address}", timeout=10)
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"


@pytest.mark.parametrize(
    "path", ["js/vendor/apexcharts.min.js", "..%2Fshell.py", "%2e%2e/shell.py", "css", ""]
)
def test_no_other_file_is_served(here: Site, path: str) -> None:
    answer = requests.get(f"{here.served.url}/admin/static/{path}", timeout=10)
    assert answer.status_code == 404


def test_a_form_outlives_a_restart(here: Site) -> None:
    """What signs the tokens of forms is kept, and for the portal alone."""
    path = here.portal.config.data_dir / "ui-key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text()) == 64


def logged_in(here: Site, username: str) -> requests.Session:
    """A program that has a session and a token for forms."""
    session = requests.Session()
    data = {"username": username, "password": PASSWORD, "next": "/admin/keys"}
    session.post(f"{here.served.url}/admin/login", data=data, timeout=10)
    return session
