"""``update``: what a real patch source lists is fetched, verified, published and enabled."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from eportal_core import db, queries
from eportal_core.agent.app import agent_app
from eportal_core.models import FeedPatchset, Offer
from eportal_core.operations import feeds, keys, updates
from eportal_core.portal import Portal
from tests.support.agents import check_in, register
from tests.support.inprocess import InProcess
from tests.support.opening import opened
from tests.support.patches import KERNEL, WEB, kernel_id
from tests.support.polling import eventually
from tests.support.publishing import Publisher, pack
from tests.support.serving import serving
from tests.support.updating import Below, by_nginx

FIRST, SECOND, THIRD = "K20260101_01", "K20260102_01", "K20260103_01"
NOTHING = "There is nothing new of KernelCare for main"


# What comes


def test_update_fetches_and_enables_what_is_new(below: Below, publisher: Publisher) -> None:
    # Which of them comes first, nobody knows.
    told = below.ok("kcare", "update")
    assert sorted(told[:2]) == [f"{FIRST} was downloaded", f"{SECOND} was downloaded"]
    assert told[2:] == [
        f"{FIRST} was enabled in main",
        f"{SECOND} was enabled in main",
    ]
    assert below.ok("kcare", "verify") == ["2 patchsets were verified, 0 faults were found"]
    for name in (FIRST, SECOND):
        kept = below.kc.data_dir / "arch" / f"{name}.tar.bz2"
        assert kept.read_bytes() == publisher.stored(name).read_bytes()
    assert not [path for path in (below.kc.data_dir / "cache").rglob("*") if path.is_file()]


def test_updating_again_changes_nothing(below: Below) -> None:
    below.ok("kcare", "update")
    rows, files = below.kc.world()
    assert below.ok("kcare", "update") == [NOTHING]
    again, others = below.kc.world()
    assert again == rows
    changed = {name for name in files | others if files.get(name) != others.get(name)}
    assert {name.partition("/")[0] for name in changed} <= {"source"}


def test_only_what_is_new_comes_from_a_real_nginx_with_a_password(
    below: Below, publisher: Publisher, tmp_path: Path
) -> None:
    with by_nginx(publisher, tmp_path / "nginx") as (settings, log):
        portal = Below(below.kc, settings)
        portal.ok("kcare", "update")
        before = len(log.read_text().splitlines())
        assert portal.ok("kcare", "update") == [NOTHING]
        asked = log.read_text().splitlines()[before:]
        assert 1 <= len(asked) <= 4
        publisher.offer(THIRD, {WEB: 3})
        assert portal.ok("kcare", "update")[0] == f"{THIRD} was downloaded"
        archives = [line for line in log.read_text().splitlines() if ".tar.bz2" in line]
        assert len(archives) == 3
        wrong = portal("kcare", "update", PATCH_SOURCE_PASSWORD="wrong")
        assert wrong.code == 1
        assert "401" in wrong.said


def test_a_portal_above_is_a_source_too(below: Below, publisher: Publisher, tmp_path: Path) -> None:
    published = {
        "PUBLISH_SOURCE": str(publisher.folder),
        "PUBLISH_SOURCE_USER": "portal",
        "PUBLISH_SOURCE_PASSWORD": "let me in",
    }
    with serving(tmp_path / "above", **published) as above:
        settings = {
            "PATCH_SOURCE_URL": f"{above.url}/source",
            "PATCH_SOURCE_ROOT": str(publisher.root),
            "PATCH_SOURCE_USER": "portal",
            "PATCH_SOURCE_PASSWORD": "let me in",
        }
        portal = Below(below.kc, settings)
        portal.ok("kcare", "update")
        assert portal.states() == {FIRST: "enabled", SECOND: "enabled"}
        assert portal.kc("kcare", "verify").code == 0
        publisher.say("blocked", SECOND)
        portal.ok("kcare", "update")
        assert portal.states()[SECOND] == "blocked"


def test_a_feed_of_its_own(below: Below) -> None:
    below.ok("feed", "-a", "test")
    below.ok("kcare", "update", "--feed", "test")
    assert below.states("test") == {FIRST: "enabled", SECOND: "enabled"}
    assert below.states("main") == {FIRST: "undeployed", SECOND: "undeployed"}
    assert below.ok("kcare", "update") == [
        f"{FIRST} was enabled in main",
        f"{SECOND} was enabled in main",
    ]


@pytest.mark.parametrize("option", ["--get-latest", "--auto-update"])
def test_the_old_options(below: Below, option: str) -> None:
    below.ok("feed", "-a", "test", "--auto")
    below.ok(option)
    feed = {"--get-latest": "main", "--auto-update": "test"}[option]
    assert set(below.states(feed).values()) == {"enabled"}
    other = {"main": "test", "test": "main"}[feed]
    assert set(below.states(other).values()) == {"undeployed"}


COMMANDS = [
    ["kcare", "update"],
    ["kcare", "auto-update"],
    ["libcare", "update", "--feed", "main"],
    ["--get-latest"],
    ["--auto-update"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_without_a_source_there_is_one_sentence(kc: InProcess, command: list[str]) -> None:
    kc.ok("feed")
    before = kc.world()[0]
    done = kc(*command)
    assert (done.code, done.out) == (1, "")
    assert done.said.startswith("No patch source is set")
    assert kc.world()[0] == before


def test_an_unknown_feed_is_said_before_anything_is_asked(below: Below) -> None:
    done = below("kcare", "update", "--feed", "none", PATCH_SOURCE_URL="/nowhere")
    assert (done.code, done.said) == (1, "There is no feed none: kc.eportal feed lists them.")


def test_a_source_that_does_not_answer_changes_nothing(below: Below) -> None:
    before = below.kc.world()[0]
    done = below("kcare", "update", PATCH_SOURCE_URL="http://127.0.0.1:1")
    assert done.code == 1
    assert "http://127.0.0.1:1/" in done.said
    assert below.kc.world()[0] == before


# What fits


@pytest.fixture
def channels(publisher: Publisher) -> None:
    publisher.list(
        publisher.pack(THIRD, {WEB: 3}, channels=["test"]),
        publisher.pack("K20260104_01", {WEB: 4}, channels=["unstable"]),
        publisher.pack("K20260105_01", {WEB: 5}, channels=["default", "unstable"]),
    )


@pytest.mark.parametrize(
    ("channel", "levels"),
    [("default", {1, 2, 5}), ("test", {1, 2, 3, 5}), ("unstable", {1, 2, 3, 4, 5})],
)
def test_a_channel_holds_those_below_it(
    below: Below, channels: None, channel: str, levels: set[int]
) -> None:
    below.ok("feed", "-a", "chosen", "--channel", channel)
    below.ok("kcare", "update", "--feed", "chosen")
    enabled = {name for name, state in below.states("chosen").items() if state == "enabled"}
    assert enabled == {f"K2026010{level}_01" for level in levels}
    assert {below.states()[f"K2026010{level}_01"] for level in {1, 2, 3, 4, 5} - levels} <= {
        "not-downloaded"
    }


def test_what_another_feed_has_does_not_come_to_a_feed_of_a_stricter_channel(
    below: Below, channels: None
) -> None:
    below.ok("feed", "-a", "early", "--channel", "unstable")
    below.ok("kcare", "update", "--feed", "early")
    below.ok("kcare", "update")
    assert below.states()[THIRD] == "undeployed"


def test_distros_choose_kernel_patches_alone(below: Below, publisher: Publisher) -> None:
    """One that is for no distro in particular is for each."""
    publisher.list(
        publisher.pack(THIRD, {WEB: 3}, distros=["almalinux9", "centos7"]),
        publisher.pack("K20260104_01", {WEB: 4}, distros=["debian12"]),
        publisher.pack("U20260101_01", {"ab" * 20: 1}, distros=["debian12"]),
    )
    chosen = {"PATCH_SOURCE_DISTROS": "centos7,ubuntu24.04"}
    below.ok("kcare", "update", **chosen)
    assert below.states() == {
        FIRST: "enabled",
        SECOND: "enabled",
        THIRD: "enabled",
        "K20260104_01": "not-downloaded",
    }
    below.ok("libcare", "update", **chosen)
    assert below.states("main", "libcare") == {"U20260101_01": "enabled"}


def test_a_limit_leaves_older_ones_at_the_source(below: Below, publisher: Publisher) -> None:
    below.ok("kcare", "update", LIMIT_PATCHSETS=1)
    assert below.states() == {FIRST: "not-downloaded", SECOND: "enabled"}
    publisher.offer(THIRD, {WEB: 3})
    below.ok("kcare", "update", LIMIT_PATCHSETS=1)
    assert below.states() == {FIRST: "not-downloaded", SECOND: "enabled", THIRD: "enabled"}


def test_without_its_source_a_portal_shows_no_offers_of_it(
    below: Below, publisher: Publisher
) -> None:
    below.ok("kcare", "update", LIMIT_PATCHSETS=1)
    alone = Below(below.kc, {})
    assert alone.states() == {SECOND: "enabled"}
    assert alone.states("main", "kcare", "--all") == {FIRST: "unavailable", SECOND: "enabled"}
    # It is set again.
    assert below.states() == {FIRST: "not-downloaded", SECOND: "enabled"}


def test_what_a_bundle_told_of_may_yet_come(below: Below, publisher: Publisher) -> None:
    """The portal that it is carried to has no source; later it is given one, and loses it."""
    far = Below(InProcess(below.kc.data_dir.with_name("far")), {})
    root = {"PATCH_SOURCE_ROOT": publisher.root}
    publisher.list(publisher.pack(THIRD, {WEB: 3}, channels=["unstable"]))
    bundle = publisher.folder.with_name("bundle")
    below.ok("bundle", "create", bundle)
    far.ok("bundle", "apply", bundle, **root)
    expected = {FIRST: "undeployed", SECOND: "undeployed", THIRD: "not-downloaded"}
    assert far.states() == expected
    Below(far.kc, publisher.settings).ok("kcare", "update")
    assert far.states() == {FIRST: "enabled", SECOND: "enabled"}


# What somebody decided


def test_disabled_in_the_feed_stays_disabled(below: Below) -> None:
    below.ok("kcare", "update", LIMIT_PATCHSETS=1)
    below.ok("kcare", "disable", SECOND)
    below.ok("kcare", "update")
    assert below.states() == {FIRST: "enabled", SECOND: "disabled"}


def test_what_the_source_disabled_is_left_to_those_who_name_it(
    below: Below, publisher: Publisher
) -> None:
    publisher.say("disabled", SECOND)
    publisher.offer(THIRD, {WEB: 3})
    below.ok("feed", "-a", "test")
    below.ok("kcare", "update")
    assert below.states() == {FIRST: "enabled", SECOND: "undeployed", THIRD: "enabled"}
    below.ok("kcare", "enable-up-to", THIRD, "--feed", "test")
    assert below.states("test")[SECOND] == "undeployed"
    assert below.ok("kcare", "enable-up-to", SECOND)[-1] == (
        f"{SECOND} is disabled in main and was skipped"
    )
    below.ok("kcare", "enable", SECOND)
    assert below.states()[SECOND] == "enabled"


def test_another_archive_of_the_same_name_is_not_enabled(
    below: Below, publisher: Publisher, tmp_path: Path
) -> None:
    below.ok("feed", "-a", "test")
    below.ok(
        "kcare", "deploy", pack(tmp_path / "own", SECOND, {kernel_id("own"): 9}), "--feed", "test"
    )
    below.ok("kcare", "update")
    assert below.states() == {FIRST: "enabled", SECOND: "undeployed"}


# What is blocked


def test_agents_lose_at_once_what_is_blocked(
    data_dir: Path, publisher: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    portal = opened(data_dir, **publisher.settings)
    names = ["later", "main", "test"]
    with db.connection(), TestClient(agent_app(portal)) as agent:
        feeds.add(portal, "test")
        feeds.add(portal, "later")
        keys.add(portal, "KEY", feed="test")
        for feed in ("main", "test"):
            updates.update(portal, KERNEL, feed)
        server = register(agent, "KEY")
        eventually(lambda: check_in(agent, server).text == "2")
        publisher.say("blocked", SECOND)
        with caplog.at_level(logging.INFO, "eportal.patches"):
            updates.update(portal, KERNEL, "later")
        # A quarter of a second, on a machine that has nothing else to do.
        eventually(lambda: check_in(agent, server).text == "1", 1)
        for feed in names:
            rows = queries.patchsets(portal, KERNEL, feed)
            assert [row["status"] for row in rows][1] == "blocked"
            state = FeedPatchset.get(feed=feed, patchset=f"kernel/{SECOND}").state
            assert state == "disabled"
    assert caplog.messages[:4] == [
        f"{SECOND} was blocked by the patch source",
        *(f"{SECOND} was disabled in {feed}" for feed in names),
    ]
    db.close()


@pytest.fixture
def blocked(below: Below, publisher: Publisher) -> Below:
    below.ok("kcare", "update")
    publisher.say("blocked", SECOND)
    below.ok("kcare", "update")
    return below


def test_what_is_blocked_cannot_be_enabled(blocked: Below, publisher: Publisher) -> None:
    refusal = f"{SECOND} is blocked by the patch source and cannot be enabled."
    archive = publisher.archives / f"{SECOND}.tar.bz2"
    for command in (["enable", SECOND], ["deploy", archive]):
        assert blocked.kc.refused("kcare", *command, code=1) == refusal
    assert blocked.ok("kcare", "enable-up-to", SECOND)[-1] == (
        f"{SECOND} is blocked in main and was skipped"
    )
    assert blocked.states()[SECOND] == "blocked"
    assert list(feed_rows(blocked)) == [(FIRST, "enabled"), (SECOND, "disabled")]


def feed_rows(below: Below) -> Iterator[tuple[str, str]]:
    portal = opened(below.kc.data_dir)
    assert portal
    with db.connection():
        rows = FeedPatchset.select().order_by(FeedPatchset.patchset)
        yield from [(row.patchset_id.partition("/")[2], row.state) for row in rows]
    db.close()


def test_blocked_before_it_came_it_does_not_come(below: Below, publisher: Publisher) -> None:
    publisher.say("blocked", SECOND)
    below.ok("kcare", "update")
    assert below.states() == {FIRST: "enabled", SECOND: "blocked"}
    archive = publisher.archives / f"{SECOND}.tar.bz2"
    assert "is blocked" in below.kc.refused("kcare", "deploy", archive, code=1)
    assert not (below.kc.data_dir / "arch" / archive.name).exists()


def test_unblocked_it_waits_for_somebody(blocked: Below, publisher: Publisher) -> None:
    publisher.say("available", SECOND)
    assert blocked.ok("kcare", "update")[0] == (
        f"{SECOND} is no longer blocked; it stays disabled until it is enabled"
    )
    assert blocked.states()[SECOND] == "disabled"
    blocked.ok("kcare", "enable", SECOND)
    assert blocked.states()[SECOND] == "enabled"


def test_it_stays_blocked_when_the_source_lists_it_no_more(
    blocked: Below, publisher: Publisher
) -> None:
    publisher.remove(SECOND)
    blocked.ok("kcare", "update")
    assert "is blocked" in blocked.kc.refused("kcare", "enable", SECOND, code=1)


# What is listed


def test_lists_show_what_could_come_and_what_went(below: Below, publisher: Publisher) -> None:
    below.ok("kcare", "update")
    publisher.list(publisher.pack(THIRD, {WEB: 3}), publisher.pack("K20260104_01", {WEB: 4}))
    below.ok("feed", "-a", "test", "--auto")
    below.ok("kcare", "update", LIMIT_PATCHSETS=1)
    publisher.remove(FIRST, THIRD)
    below.ok("kcare", "update")
    fourth = "K20260104_01"
    assert below.states() == {FIRST: "enabled", SECOND: "enabled", fourth: "enabled"}
    assert below.states("main", "kcare", "--all")[THIRD] == "unavailable"
    rows = {row["patchset"]: row for row in below.kc.json("kcare", "list", "--all")}
    assert {name for name, row in rows.items() if row["withdrawn"]} == {FIRST}
    assert rows[THIRD]["feeds"] == {"main": "unavailable", "test": "unavailable"}
    table = below.ok("kcare", "list")
    assert [cell.strip() for cell in table[2].split("|")][2:] == ["Enabled (!)", "undeployed"]
    assert [cell.strip() for cell in table[3].split("|")][2:] == ["enabled", "undeployed"]


def test_offers_are_kept_with_when_they_were_first_seen(
    below: Below, publisher: Publisher, portal: Portal
) -> None:
    below.ok("kcare", "update")
    before = {row.name: row.appeared for row in Offer.select()}
    publisher.remove(FIRST)
    below.ok("kcare", "update")
    assert {row.name: row.listed for row in Offer.select()} == {FIRST: False, SECOND: True}
    publisher.list(publisher.archives / f"{FIRST}.tar.bz2")
    below.ok("kcare", "update")
    assert {row.name: row.appeared for row in Offer.select()} == before
    assert all(row.listed for row in Offer.select())
