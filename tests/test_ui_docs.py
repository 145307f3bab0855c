"""The docs of a portal: instructions with its own address and a key, and the HTTP API."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from eportal_core.admin.api.routes import OPERATIONS
from eportal_core.models import Key
from eportal_core.operations import keys
from tests.support.accessibility import findings
from tests.support.ui import Site, site

DOCS, API = "/admin/docs/", "/admin/docs/api"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("docs") / "var") as served:
        yield served


def chapter(page: Any, title: str) -> Any:
    return page.locator("section").filter(has=page.get_by_role("heading", name=title, exact=True))


@pytest.fixture(autouse=True)
def two_keys(here: Site) -> None:
    for name, product in (("PRAGUE", "kernel"), ("ESU.1", "tuxcare-esu")):
        if Key.get_or_none(key=name) is None:
            keys.add(here.portal, name, products=[product])


def test_without_a_key_it_says_what_to_do(here: Site) -> None:
    for key in Key.select():
        keys.remove(here.portal, key.key)
    page = here.visitor().open(DOCS)
    assert "There is no key yet" in page.inner_text("main")
    assert page.get_by_role("link", name="Add a key.").is_visible()
    assert "kcarectl --register KEY" in page.inner_text("main")


def test_instructions_have_the_address_and_the_key(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(f"{DOCS}?key=PRAGUE")
    install = chapter(page, "Install the agent").inner_text()
    assert f"curl -s {visitor.url}/install-kernelcare | bash" in install
    assert "kcarectl --register PRAGUE" in install
    ansible = chapter(page, "Ansible").inner_text()
    assert f'eportal_srv: "{visitor.url}"' in ansible
    assert 'activation_key: "PRAGUE"' in ansible
    assert "{{ activation_key }}" in ansible
    assert chapter(page, "Chef").count() == chapter(page, "Puppet").count() == 1
    esu = chapter(page, "Enterprise Support for AlmaLinux - ESU")
    assert "The key PRAGUE is not for Enterprise Support" in esu.inner_text()
    page.get_by_label("Key", exact=True).select_option("ESU.1")
    page.wait_for_url("**/docs/?key=ESU.1")
    assert f"curl -s {visitor.url}/install-tuxcare | EPORTAL_KEY=ESU.1 bash" in esu.inner_text()
    assert esu.get_by_role("note").count() == 0
    assert "is not for KernelCare" in chapter(page, "Install the agent").inner_text()
    assert "@" not in page.inner_text("main").replace("admin@example.com", "").replace("--data", "")
    visitor.check()


def test_what_it_says_is_there(here: Site) -> None:
    """The scripts that it names answer, and know the same address."""
    for name in ("install-kernelcare", "set-kernelcare-repo", "set-patch-server"):
        answer = requests.get(f"{here.served.url}/{name}", timeout=10)
        assert answer.ok
        assert here.served.url in answer.text


def test_a_command_is_copied(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(DOCS)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    chapter(page, "Install the agent").get_by_role("button", name="Copy").first.click()
    page.get_by_role("button", name="Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"curl -s {visitor.url}/install-kernelcare | bash"


def test_a_key_that_there_is_not(here: Site) -> None:
    here.visitor().open(f"{DOCS}?key=NOBODY", 404)
    here.visitor().open(f"{DOCS}?key=%3Cscript%3E", 404)


def test_the_api_is_told_whole(here: Site) -> None:
    visitor = here.visitor("rob")
    page = visitor.open(DOCS)
    page.locator("main").get_by_role("link", name="HTTP API").first.click()
    page.wait_for_url(f"**{API}")
    for operation in OPERATIONS:
        box = page.locator(f"details#{operation.name}")
        assert box.locator("summary").inner_text().startswith(operation.method)
        assert operation.path in box.inner_text()
    listing = page.locator("details#list_servers")
    listing.locator("summary").click()
    told = listing.inner_text()
    assert "checkin_age" in told
    assert "whole number from 0 to 10,000" in told
    listing.get_by_role("link", name="ServerList").click()
    assert page.locator("#shape-ServerList").is_visible()
    assert "X-Api-Key" in page.inner_text("main")
    visitor.check()


def test_pages_are_small(here: Site) -> None:
    visitor = here.visitor()
    for path in (DOCS, API):
        text = visitor.open(path).content()
        assert len(gzip.compress(text.encode())) < 60_000


def test_readonly_users_are_told_who_adds_keys(here: Site) -> None:
    page = here.visitor("rob").open(DOCS)
    assert page.get_by_role("link", name="Add a key.").count() == 0
    assert "/install-kernelcare" in page.inner_text("main")


@pytest.mark.parametrize("path", [DOCS, API])
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("dark", [False, True])
def test_they_are_readable_by_all(here: Site, path: str, narrow: bool, dark: bool) -> None:
    visitor = here.visitor("anna", narrow=narrow, dark=dark)
    page = visitor.open(path)
    assert findings(page) == []
    name = "docs-api" if path == API else "docs"
    visitor.picture(f"{name}{'-narrow' * narrow}{'-dark' * dark}")
