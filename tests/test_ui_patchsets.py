"""Patchsets as people look at them, manage them and deploy them in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from eportal_core import queries
from eportal_core.config import Config
from eportal_core.models import Change, Facts, Patchset
from eportal_core.operations import feeds, keys, patchsets, servers, updates
from eportal_core.portal import Portal
from tests.support.patches import DB, KERNEL, WEB, archive, kernel_id, patch_dir
from tests.support.publishing import Publisher
from tests.support.ui import PASSWORD, Site, site

FIRST, SECOND, THIRD = "K20260101_01", "K20260201_01", "K20260301_01"
LIST = "/admin/patchsets/kcare"
TWO = ("main", "test")


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Publisher:
    publisher = Publisher.start(tmp_path_factory.mktemp("source") / "publisher")
    publisher.offer("K20250101_01", {WEB: 1}, distros=["centos7"])
    publisher.offer("K20260401_01", {WEB: 4, DB: 4}, distros=["almalinux9"])
    publisher.offer("K20260402_01", {WEB: 5}, distros=["almalinux9"])
    publisher.offer("K20260403_01", {WEB: 6})
    publisher.say("blocked", "K20260403_01")
    return publisher


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, publisher: Publisher) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("ui")
    with site(folder / "var", **publisher.settings) as served:
        portal = served.portal
        feeds.add(portal, "test")
        keys.add(portal, "M")
        keys.add(portal, "T", feed="test")
        for name, levels in ((FIRST, {WEB: 1, DB: 1}), (SECOND, {WEB: 2}), (THIRD, {WEB: 3})):
            patchsets.deploy(portal, KERNEL, archive(folder, name, levels))
        patchsets.undeploy_downto(portal, KERNEL, SECOND, "main")
        for number, kernel in enumerate((WEB, WEB, DB)):
            add_server(served, "M", f"m{number}", kernel)
        add_server(served, "T", "t1", WEB)
        patchsets.enable(portal, KERNEL, FIRST, "test")
        look_at_source(served, publisher)
        yield served


def with_source(here: Site, publisher: Publisher) -> Portal:
    """The portal in this process, which reads the source as the one that is served does."""
    config = Config.of(here.portal.config.data_dir, declared=(), **publisher.settings)
    return replace(here.portal, config=config)


def look_at_source(here: Site, publisher: Publisher) -> None:
    """What the source lists is known then, as after an update that wanted none of it."""
    portal = with_source(here, publisher)
    with updates.opened(portal) as source:
        updates.refresh(portal, source)


def add_server(here: Site, key: str, hostname: str, kernel: str, level: int = 1) -> None:
    server = servers.register(here.portal, key, hostname, "10.0.0.1")
    Facts.update(kernel_id=kernel, patch_level=level).where(Facts.server == server.id).execute()


@pytest.fixture(autouse=True)
def _as_before(here: Site) -> Iterator[None]:
    """Each test finds the states that the fixture made."""
    yield
    for feed in TWO:
        patchsets.undeploy_downto(here.portal, KERNEL, "K20260101_01", feed)
        for name in (SECOND, THIRD):
            if states(here, feed)[name] == "disabled":
                patchsets.enable(here.portal, KERNEL, name, feed)
                patchsets.undeploy_downto(here.portal, KERNEL, name, feed)
        patchsets.enable(here.portal, KERNEL, FIRST, feed)


def states(here: Site, feed: str = "main") -> dict[str, str]:
    rows = queries.patchsets(here.portal, KERNEL, feed, unavailable=True)
    return {row["patchset"]: row["status"] for row in rows}


def cells(page: Any, name: str) -> list[str]:
    line = page.locator("tbody tr").filter(has=page.get_by_role("link", name=name, exact=True))
    return [" ".join(text.split()) for text in line.first.locator("td").all_inner_texts()]


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()
    page.wait_for_load_state()


def test_patchsets_are_listed_newest_first(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(LIST)
    names = page.locator("tbody a[href*='/kcare/K']:not(.btn)").all_inner_texts()
    assert names == [
        *("K20260403_01", "K20260402_01", "K20260401_01", THIRD, SECOND, FIRST),
        "K20250101_01",
    ]
    assert cells(page, FIRST)[4:6] == ["Enabled 3 servers in main", "Enabled 1 server in test"]
    assert cells(page, FIRST)[0] == "4"
    assert cells(page, SECOND)[4:6] == ["Undeployed", "Undeployed"]
    assert cells(page, "K20260401_01")[3:5] == ["almalinux9", "Not downloaded"]
    assert cells(page, "K20260403_01")[4] == "Blocked"
    assert page.get_by_role("link", name="Manage K20260403_01").count() == 0
    assert page.get_by_role("link", name="Manage K20260402_01").count() == 1
    visitor.picture("patchsets")


def test_numbers_lead_to_the_servers(here: Site) -> None:
    page = here.visitor().open(LIST)
    line = page.locator("tbody tr").filter(has=page.get_by_role("link", name=FIRST, exact=True))
    addresses = [each.get_attribute("href") for each in line.locator("a[href*=servers]").all()]
    assert addresses == [
        f"/admin/servers?patchset={FIRST}",
        f"/admin/servers?patchset={FIRST}&feed=main",
        f"/admin/servers?patchset={FIRST}&feed=test",
    ]


def test_filters(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(LIST)
    page.get_by_label("Usage").select_option("used")
    page.wait_for_url("**usage=used**")
    assert page.locator("tbody tr").count() == 1
    page.get_by_label("Usage").select_option("")
    page.wait_for_url("**usage=&**")
    page.get_by_label("Distribution").select_option("almalinux9")
    page.wait_for_url("**distro=almalinux9**")
    assert page.locator("tbody tr").count() == 2
    page = visitor.open(f"{LIST}?distro=nothing")
    assert "No patchset is like that" in page.inner_text("main")


def test_unavailable_ones_are_shown_on_request(here: Site, publisher: Publisher) -> None:
    publisher.remove("K20250101_01")
    look_at_source(here, publisher)
    visitor = here.visitor()
    page = visitor.open(LIST)
    assert page.get_by_role("link", name="K20250101_01").count() == 0
    page.get_by_label("Show unavailable patchsets").check()
    page.wait_for_url("**unavailable=true**")
    assert cells(page, "K20250101_01")[4] == "Not available"
    visitor.check()


def test_what_was_withdrawn_stands_out(here: Site, publisher: Publisher) -> None:
    from eportal_core.models import Offer

    taken = dict.fromkeys(("released", "archive", "sha256"), "")
    Offer.insert(
        id=f"kernel/{FIRST}",
        product="kernel",
        name=FIRST,
        position="20260101.0000000001",
        channels=[],
        distros=[],
        size=1,
        state="available",
        listed=False,
        **taken,
    ).execute()
    page = here.visitor().open(LIST)
    assert cells(page, FIRST)[4].startswith("Enabled (!)")
    Offer.delete().where(Offer.id == f"kernel/{FIRST}").execute()


def test_a_name_opens_changelog_and_cves(here: Site, tmp_path: Path) -> None:
    from eportal_core.patchsets.pack import pack
    from tests.support.patches import SPEC

    path = tmp_path / "K20230101_01.tar.bz2"
    text = "Fixes <script>alert(1)</script>\n- one\n"
    pack(patch_dir(tmp_path / "content", {DB: 900}), path, SPEC, changelog=text)
    patchsets.deploy(here.portal, KERNEL, path, enable=False)
    visitor = here.visitor()
    page = visitor.open(LIST)
    page.get_by_role("link", name="K20230101_01", exact=True).click()
    page.wait_for_url("**/K20230101_01")
    assert page.locator(".changelog").inner_text().strip() == text.strip()
    assert "CVE-2026-00900" in page.inner_text("main")
    visitor.check()
    visitor.picture("patchset")
    patchsets.unroll(here.portal, KERNEL, "K20230101_01", delete=True)


def test_enabling_is_shown_before_it_is_done(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(LIST)
    page.get_by_role("link", name=f"Manage {THIRD}").click()
    page.get_by_label("Do in main").select_option("enable-upto")
    page.get_by_label("Do in test").select_option("enable")
    before = Change.select().count()
    press(page, "Show what it will do")
    visitor.check()
    shown = page.locator("section").inner_text()
    assert "2 will be enabled" in shown
    assert "2 servers: level 1 → level 3" in shown
    assert "1 server: level 1 → level 3" in shown
    assert "1 CVE gained" in shown
    assert "1 CVE lost" in shown
    assert Change.select().count() == before
    visitor.picture("manage")
    press(page, "Apply")
    assert visitor.told() == (
        f"{THIRD}: 2 patchsets enabled in main; 1 patchset enabled in test. Servers take it at "
        f"their next check-in."
    )
    assert cells(page, THIRD)[4:6] == ["Enabled", "Enabled"]
    assert (states(here)[SECOND], states(here, "test")[SECOND]) == ("enabled", "undeployed")
    visitor.check()
    last = Change.select().order_by(Change.sequence.desc()).get()
    assert (last.actor, last.means) == ("anna", "session")


def test_buttons_for_all_feeds(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(f"{LIST}/{FIRST}/manage")
    press(page, "Disable in all feeds")
    shown = page.locator("section").inner_text()
    assert "2 servers: level 1 → no patches" not in shown
    assert "3 servers: level 1 → no patches" in shown
    assert "1 server: level 1 → no patches" in shown
    assert states(here)[FIRST] == "enabled"
    press(page, "Apply")
    assert [states(here, feed)[FIRST] for feed in TWO] == ["disabled", "disabled"]
    page = visitor.open(f"{LIST}/{FIRST}/manage")
    press(page, "Enable in all feeds")
    press(page, "Apply")
    assert [states(here, feed)[FIRST] for feed in TWO] == ["enabled", "enabled"]


def test_doing_nothing(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(f"{LIST}/{FIRST}/manage")
    press(page, "Show what it will do")
    assert page.locator("section").count() == 0
    page.get_by_label("Do in main").select_option("enable")
    press(page, "Show what it will do")
    assert "there is nothing to apply" in page.locator("section").inner_text()
    assert page.get_by_role("button", name="Apply", exact=True).count() == 0
    visitor.check()


def test_other_choices_hide_what_was_shown(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(f"{LIST}/{THIRD}/manage?do.main=enable")
    preview = page.locator("section")
    assert preview.is_visible()
    page.get_by_label("Do in main").select_option("enable-upto")
    assert not preview.is_visible()
    assert "You chose something else since" in page.get_by_role("status").inner_text()
    press(page, "Show what it will do")
    assert "2 will be enabled" in preview.inner_text()
    visitor.check()


def test_what_somebody_changed_meanwhile_is_shown_anew(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(f"{LIST}/{THIRD}/manage?do.main=enable-upto")
    assert "2 will be enabled" in page.locator("section").inner_text()
    patchsets.disable(here.portal, KERNEL, SECOND, "main")
    press(page, "Apply")
    assert "Somebody changed the feeds meanwhile" in visitor.told()
    assert "1 will be enabled" in page.locator("section").inner_text()
    assert states(here)[THIRD] == "undeployed"
    press(page, "Apply")
    assert states(here)[THIRD] == "enabled"


def test_what_is_not_here_is_downloaded_first(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(f"{LIST}/K20260402_01/manage")
    press(page, "Enable all up to, in all feeds")
    told = page.inner_text("main")
    assert re.search("[23] patchsets are not here", told)
    assert page.locator("section").count() == 0
    page.get_by_role("button", name="Download them").click()
    page.get_by_role("heading", name="What it will do").or_(
        page.get_by_role("link", name="Go on")
    ).wait_for(timeout=60_000)
    if page.get_by_role("link", name="Go on").count():
        page.get_by_role("link", name="Go on").click()
    shown = page.locator("section").inner_text()
    assert "2 servers: level 1 → level 5" in shown
    assert "1 server: level 1 → level 4" in shown
    assert Patchset.get_or_none(id="kernel/K20260401_01") is not None
    assert states(here)["K20260402_01"] == "undeployed"
    press(page, "Apply")
    assert states(here)["K20260401_01"] == "enabled"
    visitor.check()


def test_blocked_ones_are_refused(here: Site) -> None:
    visitor = here.visitor()
    page = visitor.open(f"{LIST}/K20260403_01/manage?do.main=enable")
    assert page.locator("section").count() == 0
    assert page.get_by_role("button", name="Download it").count() == 0


def test_readonly_users_see_all_and_change_nothing(here: Site) -> None:
    visitor = here.visitor("rob")
    page = visitor.open(LIST)
    assert cells(page, FIRST)[0] == "4"
    assert page.get_by_role("link", name=re.compile("Manage|Deploy")).count() == 0
    page = visitor.open(f"{LIST}/{FIRST}")
    assert page.get_by_role("link", name="Manage").count() == 0
    visitor.open(f"{LIST}/{FIRST}/manage", 403)
    visitor.open(f"{LIST}/deploy", 403)
    session = logged_in(here, "rob")
    fields = {"do.main": "disable", "mark": "x", "csrftoken": token(session, here, LIST)}
    for path in ("manage", "download"):
        answer = session.post(f"{here.served.url}{LIST}/{FIRST}/{path}", data=fields, timeout=10)
        assert answer.status_code == 403
    answer = session.post(
        f"{here.served.url}{LIST}/deploy/upload", files={"archive": b"x"}, timeout=10
    )
    assert answer.status_code == 403
    assert states(here)[FIRST] == "enabled"


def logged_in(here: Site, username: str) -> requests.Session:
    session = requests.Session()
    answer = session.post(
        f"{here.served.url}/admin/login",
        data={"username": username, "password": PASSWORD},
        timeout=10,
    )
    assert answer.ok
    return session


def token(session: requests.Session, here: Site, path: str) -> str:
    session.get(f"{here.served.url}{path}", timeout=10)
    return session.cookies.get("starlette_admin_csrftoken", "")


@pytest.mark.parametrize("path", ["nothing", "kcare/K20990101_01", "kcare/..%2f..", "kcare/%00"])
def test_what_is_not_there(here: Site, path: str) -> None:
    session = logged_in(here, "anna")
    answer = session.get(f"{here.served.url}/admin/patchsets/{path}", timeout=10)
    assert answer.status_code in (400, 404)
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("choice", ["explode", "../", "enable\0"])
def test_a_choice_that_is_none(here: Site, choice: str) -> None:
    session = logged_in(here, "anna")
    answer = session.get(
        f"{here.served.url}{LIST}/{FIRST}/manage", params={"do.main": choice}, timeout=10
    )
    assert answer.status_code == 400


def test_an_archive_is_deployed(here: Site, tmp_path: Path) -> None:
    path = archive(tmp_path, "K20240101_01", {kernel_id("new"): 7})
    visitor = here.visitor()
    page = visitor.open(LIST)
    page.get_by_role("link", name="Deploy an archive").click()
    page.get_by_label("Feed").select_option("test")
    page.get_by_label("Archive").set_input_files(path)
    visitor.picture("deploy")
    page.get_by_role("button", name="Deploy", exact=True).click()
    page.get_by_role("link", name="Go on").wait_for(timeout=60_000)
    assert visitor.told() == "K20240101_01 was deployed, and is enabled in test."
    visitor.check()
    visitor.picture("task-done")
    page.get_by_role("link", name="Go on").click()
    page.wait_for_url(f"**{LIST}")
    assert cells(page, "K20240101_01")[4:6] == ["Undeployed", "Enabled"]
    changes = Change.select().where(Change.key == "kernel/K20240101_01")
    assert [(each.actor, each.means) for each in changes] == [("anna", "session")]
    assert leftovers(here) == []


def leftovers(here: Site) -> list[Path]:
    """What uploads left."""
    return list((here.portal.storage.patches_dir / "cache" / "uploads").glob("*"))


def send(here: Site, *parts: tuple[str, tuple[str | None, bytes]], **options: Any) -> str:
    """Send a form as a browser does; the sentence that the task's page tells then."""
    session = logged_in(here, "anna")
    answer = session.post(
        f"{here.served.url}{LIST}/deploy/upload", files=parts, timeout=30, **options
    )
    for _ in range(100):
        found = re.search(r'class="alert alert-\w+" role="\w+">(.*?)</div>', answer.text, re.DOTALL)
        if found:
            return found[1]
        answer = session.get(answer.url, timeout=10)
    raise AssertionError(answer.text)


def test_an_archive_is_deployed_without_javascript(here: Site, tmp_path: Path) -> None:
    content = archive(tmp_path, "K20240102_01", {kernel_id("other"): 7}).read_bytes()
    told = send(
        here,
        ("feed", (None, b"main")),
        ("disabled", (None, b"true")),
        ("archive", ("C:\\patches\\K20240102_01.tar.bz2", content)),
    )
    assert told == "K20240102_01 was deployed, and is disabled in main."


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "..\\..\\K20260101_01.tar.bz2.exe",
        "K20260101_01.zip",
        "K20260101_01.meta.json",
        "-rf.tar.bz2",
        "lock",
        "K" + "1" * 300 + "_1.tar.bz2",
        "K20260101_01\x00.tar.bz2",
    ],
)
def test_hostile_names_are_refused(here: Site, name: str) -> None:
    archives = here.portal.storage.archives
    before = sorted(archives.iterdir())
    told = send(here, ("archive", (name, b"not an archive")))
    assert "was deployed" not in told
    assert sorted(archives.iterdir()) == before
    assert leftovers(here) == []


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([("archive", ("", b""))], "Choose an archive first."),
        ([("feed", (None, b"main"))], "Choose an archive first."),
        ([("archive", ("K20260909_01.tar.bz2", b"no archive"))], "not compressed in a known way"),
        (
            [
                ("feed", (None, b"nowhere")),
                ("archive", ("K20260909_01.tar.bz2", b"x")),
            ],
            "There is no feed",
        ),
        ([("archive", ("K20260909_01.tar.bz2", b"x"))] * 2, "one archive at a time"),
        ([("feed", (None, b"x" * 2000))], "too long"),
        ([(f"f{number}", (None, b"x")) for number in range(30)], "too many fields"),
    ],
)
def test_forms_that_are_refused(here: Site, parts: list[Any], said: str) -> None:
    assert said in send(here, *parts)
    assert leftovers(here) == []


def test_a_large_one_is_read_to_its_end(here: Site) -> None:
    told = send(here, ("archive", ("K20260909_01.tar.bz2", b"no archive" * 2_000_000)))
    assert "not compressed in a known way" in told
    assert leftovers(here) == []


def test_a_form_that_is_none(here: Site) -> None:
    session = logged_in(here, "anna")
    address = f"{here.served.url}{LIST}/deploy/upload"
    for kind in ("text/plain", "multipart/form-data", "multipart/form-data; boundary="):
        answer = session.post(address, data=b"x" * 100, headers={"Content-Type": kind}, timeout=10)
        assert "form with a file" in answer.text
    kind = "multipart/form-data; boundary=x"
    cut = b'--x\r\nContent-Disposition: form-data; name="archive"; filename="K20260909_01.tar.bz2"'
    for body in (b"", b"garbage", cut, cut + b"\r\n\r\nabc"):
        answer = session.post(address, data=body, headers={"Content-Type": kind}, timeout=10)
        assert "The form" in answer.text
    assert leftovers(here) == []


def test_who_is_not_logged_in_uploads_nothing(here: Site) -> None:
    answer = requests.post(
        f"{here.served.url}{LIST}/deploy/upload",
        files={"archive": ("K20260909_01.tar.bz2", b"x")},
        allow_redirects=False,
        timeout=10,
    )
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/admin/login?next=")


def test_another_site_uploads_nothing(here: Site) -> None:
    session = logged_in(here, "anna")
    answer = session.post(
        f"{here.served.url}{LIST}/deploy/upload",
        files={"archive": ("K20260909_01.tar.bz2", b"x")},
        headers={"Sec-Fetch-Site": "cross-site"},
        timeout=10,
    )
    assert answer.status_code == 403


def test_a_task_is_shown_to_its_owner_and_to_administrators(here: Site) -> None:
    session = logged_in(here, "anna")
    answer = session.post(
        f"{here.served.url}{LIST}/deploy/upload", files={"archive": ("x", b"x")}, timeout=10
    )
    page = here.visitor().open(answer.url.removeprefix(here.served.url))
    assert "not named like a patchset archive" in page.inner_text("main")
    here.visitor("rob").open(answer.url.removeprefix(here.served.url), 404)
    page = here.visitor().open("/admin/tasks/nothing", 404)
    assert "There is no such task" in page.inner_text("main")


def test_products_that_are_not_made_of_archives(here: Site) -> None:
    page = here.visitor().open("/admin/patchsets/esu")
    assert "mirror" in page.inner_text("main")
    here.visitor().open("/admin/patchsets/esu/deploy", 400)


def test_products_of_which_servers_tell_nothing(here: Site) -> None:
    page = here.visitor().open("/admin/patchsets/libcare")
    assert page.get_by_label("Usage").count() == 0
    here.visitor("rob").open("/admin/patchsets/qemu")


@pytest.mark.parametrize("path", ["", f"/{FIRST}", f"/{THIRD}/manage?all=enable-upto", "/deploy"])
def test_narrow_and_dark(here: Site, path: str) -> None:
    name = (path.partition("?")[0].rpartition("/")[2] or "list").lower()
    for dark in (False, True):
        for narrow in (False, True):
            visitor = here.visitor(narrow=narrow, dark=dark)
            visitor.open(f"{LIST}{path}")
            shade, width = "dark" if dark else "light", "narrow" if narrow else "wide"
            visitor.picture(f"patchsets-{name}-{shade}-{width}")


def test_by_keyboard_alone(here: Site) -> None:
    page = here.visitor().open(f"{LIST}/{THIRD}/manage")
    page.get_by_label("Do in main").focus()
    page.keyboard.press("ArrowUp")
    page.get_by_role("button", name="Show what it will do").focus()
    page.keyboard.press("Enter")
    page.locator("section").wait_for()
    page.get_by_role("button", name="Apply", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{LIST}")
    assert states(here)[THIRD] == "enabled"


def test_what_takes_long_goes_on_in_the_background(here: Site, publisher: Publisher) -> None:
    publisher.offer("K20260405_01", {WEB: 8})
    look_at_source(here, publisher)
    visitor = here.visitor()
    page = visitor.open(f"{LIST}/K20260405_01/manage")
    with updates.opened(with_source(here, publisher)):
        # Somebody else reads the source: this one has to wait.
        page.get_by_role("button", name=re.compile("Download")).click()
        page.wait_for_url("**/admin/tasks/*")
        assert page.locator("progress").is_visible()
        assert "It goes on when you leave this page" in page.inner_text("main")
        assert "Begun" in page.inner_text("main")
        visitor.check()
        visitor.picture("task")
        address = page.url.removeprefix(here.served.url)
        here.visitor("rob").open(address, 404)
        visitor.open(LIST)
        visitor.open(address)
        assert page.locator("progress").is_visible()
        session = logged_in(here, "anna")
        state = session.get(f"{here.served.url}{address}/state", timeout=10).json()
        assert state["state"] == "running"
    # The page tells by itself when it has ended.
    page.get_by_role("link", name="Go on").wait_for(timeout=60_000)
    assert visitor.told() == "1 patchset of KernelCare came."
    page.get_by_role("link", name="Go on").click()
    page.wait_for_url(f"**{LIST}/K20260405_01/manage")
    assert states(here)["K20260405_01"] == "undeployed"


def test_a_task_that_fails_says_why(here: Site, publisher: Publisher) -> None:
    publisher.offer("K20260406_01", {WEB: 9})
    look_at_source(here, publisher)
    stored = publisher.stored("K20260406_01")
    stored.write_bytes(b"x" * stored.stat().st_size)
    visitor = here.visitor()
    page = visitor.open(f"{LIST}/K20260406_01/manage")
    page.get_by_role("button", name=re.compile("Download")).click()
    page.wait_for_url("**/admin/tasks/*")
    page.get_by_role("link", name="Back").wait_for(timeout=60_000)
    assert "could not be had: K20260406_01" in visitor.told()
    publisher.remove("K20260406_01")
