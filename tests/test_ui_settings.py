"""The pages of settings: what is set and by whom, changing it, trying it, trusting a source."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import expect

from eportal_core.config import Config, load
from eportal_core.operations import settings
from eportal_core.plugins import load as load_plugins
from eportal_core.portal import Portal
from tests.support.accessibility import findings
from tests.support.proxies import Authority
from tests.support.serving import free_ports
from tests.support.slapd import PASSWORD as LDAP_PASSWORD
from tests.support.slapd import SUFFIX, Slapd, slapd
from tests.support.sources import MadeSource, make_source
from tests.support.ui import Site, site

SOURCE = "/admin/settings/source"
LDAP = "/admin/settings/ldap"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("settings")
    fixed = {"PATCH_SOURCE_USER": "from-outside", "OIDC_CLIENT_ID": "eportal"}
    with site(folder / "var", **fixed) as served:
        yield served


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> MadeSource:
    made = make_source(tmp_path_factory.mktemp("source") / "source")
    made.offer("kernel", "K20260901_01", distros=["plan9"])
    return made


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with slapd(Authority.make(tmp_path_factory.mktemp("ldap") / "ca")) as running:
        yield running


@pytest.fixture(scope="module")
def config(here: Site) -> Config:
    """What the portal has set, as it is now."""
    environ = {"EPORTAL_DATA_DIR": str(here.portal.config.data_dir)}
    return load(load_plugins().settings(), environ)


@pytest.fixture(scope="module")
def portal(here: Site, config: Config) -> Portal:
    return replace(here.portal, config=config)


@pytest.fixture(autouse=True)
def afresh(portal: Portal, config: Config) -> Iterator[None]:
    """Each test begins with nothing set on a page."""
    yield
    kept = config.data_dir / "config" / "config.json"
    if kept.exists():
        for name in json.loads(kept.read_text()):
            settings.drop(portal, name)


def value(here: Site, name: str) -> object:
    shown = here.served.cli.json("config")
    (found,) = (row["value"] for row in shown if row["name"] == name)
    return found


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()
    page.wait_for_load_state()


def steps(page: Any) -> list[str]:
    expect(page.locator("[data-again]")).to_have_count(0, timeout=20_000)
    return [text.strip() for text in page.locator(".trial li").all_inner_texts()]


def test_settings_are_saved(here: Site, config: Config) -> None:
    visitor = here.visitor()
    page = visitor.open(SOURCE)
    page.get_by_label("Address or directory").fill("https://patches.example.com")
    page.get_by_label("Password").fill("a secret thing")
    page.get_by_label("debian12", exact=True).check()
    page.get_by_label("almalinux9", exact=True).check()
    press(page, "Save")
    assert visitor.told() == "Patch source: saved."
    assert page.get_by_label("Address or directory").input_value() == "https://patches.example.com"
    assert page.get_by_label("debian12", exact=True).is_checked()
    assert "a secret thing" not in page.content()
    origin = page.locator("[data-setting=PATCH_SOURCE_URL] .origin").inner_text()
    assert origin == "PATCH_SOURCE_URL Set on this page, or by kc.eportal config set."
    assert value(here, "PATCH_SOURCE_PASSWORD") == "********"
    assert config["PATCH_SOURCE_PASSWORD"] == "a secret thing"
    assert config["PATCH_SOURCE_DISTROS"] == ["almalinux9", "debian12"]
    press(page, "Save")
    assert visitor.told() == "Nothing was changed."
    assert config["PATCH_SOURCE_PASSWORD"] == "a secret thing"
    page.get_by_label("Address or directory").fill("")
    page.get_by_label("Forget it").check()
    press(page, "Save")
    assert config["PATCH_SOURCE_URL"] is None
    assert config["PATCH_SOURCE_PASSWORD"] is None
    visitor.check()
    page = visitor.open("/admin/log?table=setting")
    told = page.locator("tbody").inner_text()
    assert "PATCH_SOURCE_PASSWORD" in told
    assert "a secret thing" not in page.content()


def test_what_the_environment_sets_is_read_only(here: Site) -> None:
    page = here.visitor().open(SOURCE)
    assert page.get_by_label("User name").count() == 0
    shown = page.locator("[data-setting=PATCH_SOURCE_USER]").inner_text()
    assert "from-outside" in shown
    assert "Set by the environment (EPORTAL_PATCH_SOURCE_USER)." in shown
    assert "change the environment and restart the portal" in shown


def test_what_is_wrong_leaves_nothing_behind(here: Site, config: Config) -> None:
    visitor = here.visitor()
    page = visitor.open(SOURCE)
    page.get_by_label("Password").fill("other")
    page.get_by_label("debian11", exact=True).check()
    page.get_by_label("Address or directory").fill("ftp://patches.example.com")
    press(page, "Save")
    assert "PATCH_SOURCE_URL must be an address" in visitor.told()
    assert page.get_by_label("Address or directory").input_value() == "ftp://patches.example.com"
    assert page.get_by_label("debian11", exact=True).is_checked()
    assert config["PATCH_SOURCE_PASSWORD"] is None
    assert config["PATCH_SOURCE_DISTROS"] == []
    visitor.check()


def test_a_source_is_tried_and_trusted(
    here: Site, config: Config, portal: Portal, source: MadeSource
) -> None:
    visitor = here.visitor()
    page = visitor.open(SOURCE)
    press(page, "Test connection")
    assert steps(page) == [
        "failed settings: No patch source is set; kc.eportal config set PATCH_SOURCE_URL names "
        "one, an address or a directory."
    ]
    settings.put(portal, "PATCH_SOURCE_URL", str(source.folder))
    press(page, "Test connection")
    tried = steps(page)
    assert tried[0] == f"ok settings: {source.folder}"
    assert tried[1] == "ok connection: it answers"
    assert tried[-1].startswith("failed trust: ")
    page.get_by_role("link", name="Show the fingerprint").click()
    assert page.locator("#fingerprint").inner_text() == source.fingerprint
    assert findings(page) == []
    page.get_by_label("I have compared it").check()
    press(page, "Trust it")
    assert source.fingerprint in visitor.told()
    assert page.locator("#fingerprint").inner_text() == source.fingerprint
    press(page, "Test connection")
    assert steps(page)[-1] == "ok content: 1 patchset listed"
    assert page.get_by_label("plan9", exact=True).is_visible()
    visitor.check()
    visitor.picture("settings-source")


def test_nothing_is_trusted_without_a_comparison(
    here: Site, portal: Portal, source: MadeSource
) -> None:
    settings.put(portal, "PATCH_SOURCE_URL", str(source.folder))
    visitor = here.visitor()
    page = visitor.open(f"{SOURCE}/trust")
    page.get_by_label("I have compared it").evaluate("box => box.required = false")
    press(page, "Trust it")
    assert visitor.told().startswith("Compare the fingerprint first")


def test_another_fingerprint_than_was_shown_is_refused(
    here: Site, portal: Portal, source: MadeSource
) -> None:
    settings.put(portal, "PATCH_SOURCE_URL", str(source.folder))
    visitor = here.visitor()
    page = visitor.open(f"{SOURCE}/trust")
    page.locator("[name=fingerprint]").evaluate("field => field.value = 'ab'.repeat(32)")
    page.get_by_label("I have compared it").check()
    press(page, "Trust it")
    assert "it is another source" in visitor.told()


def test_a_setting_that_decides_keeps_its_word(
    here: Site, portal: Portal, source: MadeSource
) -> None:
    settings.put(portal, "PATCH_SOURCE_FINGERPRINT", source.fingerprint)
    page = here.visitor().open(SOURCE)
    assert "PATCH_SOURCE_FINGERPRINT decides" in page.inner_text("main")
    assert page.get_by_role("link", name="Trust another one").count() == 0


def test_a_source_that_does_not_answer(here: Site, portal: Portal) -> None:
    settings.put(portal, "PATCH_SOURCE_URL", f"http://127.0.0.1:{free_ports(1)[0]}")
    visitor = here.visitor()
    page = visitor.open(SOURCE)
    press(page, "Test connection")
    assert steps(page)[-1].startswith("failed connection: ")
    page.get_by_role("link", name="fingerprint").or_(
        page.get_by_role("link", name="Trust another one")
    ).click()
    page.wait_for_load_state()
    assert "127.0.0.1" in visitor.told()
    visitor.check()


def test_a_login_at_the_directory_is_tried(here: Site, directory: Slapd) -> None:
    visitor = here.visitor()
    page = visitor.open(LDAP)
    page.get_by_label("Address").fill(directory.plain)
    page.get_by_label("Name to bind with").fill(f"uid=%s,{SUFFIX}")
    press(page, "Save")
    assert visitor.told() == "LDAP: saved."
    page.get_by_label("User name").fill("einstein")
    page.get_by_label("Password of the user").fill(LDAP_PASSWORD)
    press(page, "Test login")
    tried = steps(page)
    assert [line.split()[0] for line in tried] == ["ok"] * len(tried)
    assert [line.split()[1] for line in tried] == [
        *("settings:", "address:", "connect:", "bind:", "login:"),
    ]
    assert findings(page) == []
    page.get_by_label("User name").fill("einstein")
    page.get_by_label("Password of the user").fill("wrong")
    press(page, "Test login")
    assert steps(page)[-1].startswith("failed bind: the server does not let uid=einstein")
    assert "wrong" not in page.content()
    visitor.check()
    visitor.picture("settings-ldap")
    rob = here.visitor("rob").open(LDAP)
    assert "uid=einstein" not in rob.content()


def test_settings_that_need_a_restart_are_shown(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open("/admin/settings/sso")
    assert page.get_by_role("button", name="Save").count() == 0
    shown = page.locator("[data-setting=OIDC_GROUPS_CLAIM]").inner_text()
    assert "groups" in shown
    assert "It does not change while the portal runs: set it in" in shown
    press(page, "Test provider")
    assert steps(page)[0].startswith("failed single sign-on: OIDC_AUTH_URL")
    assert findings(page) == []
    visitor.check()


@pytest.mark.parametrize("path", [SOURCE, LDAP, "/admin/settings/sso"])
def test_readonly_users_see_all_and_change_nothing(here: Site, path: str) -> None:
    visitor = here.visitor("rob")
    page = visitor.open(path)
    assert page.locator("main form:not([action='/admin/logout'])").count() == 0
    assert page.locator("[data-setting]").count() > 3
    token = {"csrftoken": page.context.cookies()[0]["value"]}
    for cookie in page.context.cookies():
        if "csrf" in cookie["name"]:
            token = {"csrftoken": cookie["value"]}
    for target in (path, f"{path}/test"):
        answer = page.request.post(f"{visitor.url}{target}", form=token)
        assert answer.status == 403
    if path == SOURCE:
        assert page.request.get(f"{visitor.url}{path}/trust").status == 403
        assert page.request.post(f"{visitor.url}{path}/trust", form=token).status == 403


@pytest.mark.parametrize("path", [SOURCE, LDAP, "/admin/settings/sso"])
@pytest.mark.parametrize("narrow", [False, True])
def test_it_is_readable_by_all(here: Site, path: str, narrow: bool) -> None:
    for dark in (False, True):
        visitor = here.visitor("anna", narrow=narrow, dark=dark)
        page = visitor.open(path)
        assert findings(page) == []
        name = path.rpartition("/")[2]
        visitor.picture(f"settings-{name}{'-narrow' * narrow}{'-dark' * dark}")


def test_the_navigation_has_the_pages(here: Site) -> None:
    page = here.visitor().open(LDAP)
    links = page.get_by_role("navigation", name="Pages")
    assert links.get_by_role("link", name="LDAP").get_attribute("aria-current") == "page"
    assert links.get_by_role("link", name="Single sign-on").is_visible()
