"""Feeds that update by themselves: what comes, what waits, and the job that does it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from eportal_core import db, jobs
from eportal_core.errors import PortalError
from eportal_core.models import Change, FeedPatchset, Patchset, now
from eportal_core.operations import feeds, patchsets, updates
from eportal_core.portal import Portal
from eportal_core.source.publishing import publish
from eportal_core.types import Job
from tests.support.inprocess import InProcess
from tests.support.opening import opened
from tests.support.patches import KERNEL, WEB
from tests.support.polling import eventually
from tests.support.publishing import Publisher
from tests.support.serving import serving
from tests.support.updating import Below

FIRST, SECOND, THIRD = "K20260101_01", "K20260102_01", "K20260103_01"


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    """A source with two patchsets."""
    publisher = Publisher.start(tmp_path / "publisher")
    publisher.list(publisher.pack(FIRST, {WEB: 1}), publisher.pack(SECOND, {WEB: 2}))
    return publisher


@pytest.fixture
def portal(data_dir: Path, publisher: Publisher) -> Iterator[Portal]:
    """A portal below the source, with the feeds ``main`` and ``auto``."""
    portal = opened(data_dir, **publisher.settings)
    with db.connection():
        feeds.add(portal, "auto", auto=True)
        yield portal
    db.close()


@pytest.fixture
def below(kc: InProcess, portal: Portal, publisher: Publisher) -> Below:
    return Below(kc, publisher.settings)


def job(portal: Portal) -> Job:
    (found,) = [each for each in jobs.all_jobs(portal) if each.name == "update-patches"]
    return found


def enabled(feed: str) -> list[str]:
    """Names of what is enabled, in the order in which it was."""
    rows = FeedPatchset.select().where(FeedPatchset.feed == feed, FeedPatchset.state == "enabled")
    return [row.patchset_id.partition("/")[2] for row in rows.order_by(FeedPatchset.since)]


def hours_pass(hours: float) -> None:
    """All that came to the portal did so this much longer ago."""
    for patchset in Patchset.select():
        patchset.appeared -= timedelta(hours=hours)
        patchset.save()


# Feeds


def test_only_automatic_feeds_are_updated(below: Below, portal: Portal) -> None:
    feeds.add(portal, "other")
    told = below.ok("kcare", "auto-update")
    assert told[2:] == [f"{FIRST} was enabled in auto", f"{SECOND} was enabled in auto"]
    assert (enabled("auto"), enabled("main"), enabled("other")) == ([FIRST, SECOND], [], [])
    assert below.ok("kcare", "auto-update") == ["There is nothing new of KernelCare for auto"]


def test_without_automatic_feeds_nothing_comes(below: Below, portal: Portal) -> None:
    feeds.change(portal, "auto", auto=False)
    assert below.ok("kcare", "auto-update") == [
        "No feed is updated automatically; kc.eportal feed -c NAME --auto makes it so"
    ]
    assert patchsets.all_of(KERNEL) == []


def test_a_command_updates_its_own_product(below: Below, publisher: Publisher) -> None:
    publisher.offer("U20260101_01", {"ab" * 20: 1})
    below.ok("libcare", "auto-update")
    assert enabled("auto") == ["U20260101_01"]


def test_disabled_ones_are_skipped(below: Below, portal: Portal, publisher: Publisher) -> None:
    below.ok("kcare", "auto-update")
    patchsets.disable(portal, KERNEL, SECOND, "auto")
    publisher.offer(THIRD, {WEB: 3})
    below.ok("kcare", "auto-update")
    assert enabled("auto") == [FIRST, THIRD]


# Hours


def test_a_clean_installation_deploys_everything_after_the_hours(
    portal: Portal, publisher: Publisher
) -> None:
    """All of it appeared just now, however old it is; after so many hours all of it comes."""
    publisher.offer("K20200101_01", {WEB: 7}, released="2020-01-01")
    feeds.add(portal, "late", auto=True, deploy_after=10)
    updates.auto_update(portal, KERNEL)
    assert enabled("auto") == ["K20200101_01", FIRST, SECOND]
    assert enabled("late") == []
    hours_pass(9.9)
    updates.auto_update(portal, KERNEL)
    assert enabled("late") == []
    hours_pass(0.2)
    updates.auto_update(portal, KERNEL)
    assert enabled("late") == ["K20200101_01", FIRST, SECOND]


def test_the_hours_count_from_when_it_came_here(portal: Portal, publisher: Publisher) -> None:
    feeds.change(portal, "auto", deploy_after=10)
    updates.auto_update(portal, KERNEL)
    hours_pass(11)
    publisher.offer(THIRD, {WEB: 3})
    updates.auto_update(portal, KERNEL)
    assert enabled("auto") == [FIRST, SECOND]


def test_hours_that_were_changed_count_at_once(portal: Portal) -> None:
    feeds.change(portal, "auto", deploy_after=10)
    updates.auto_update(portal, KERNEL)
    feeds.change(portal, "auto", deploy_after=0)
    updates.auto_update(portal, KERNEL)
    assert enabled("auto") == [FIRST, SECOND]


def test_update_by_hand_does_not_wait(portal: Portal) -> None:
    feeds.change(portal, "auto", deploy_after=10)
    updates.update(portal, KERNEL, "auto")
    assert enabled("auto") == [FIRST, SECOND]


def test_a_setting_counts_the_hours_from_the_release(data_dir: Path, publisher: Publisher) -> None:
    """A date is its first moment; without one, the hours count from when it came here."""
    today, yesterday = now(), now() - timedelta(days=2)
    publisher.offer(THIRD, {WEB: 3}, released=f"{today:%Y-%m-%d}")
    publisher.offer("K20260104_01", {WEB: 4}, released=f"{yesterday:%Y-%m-%d}")
    portal = opened(data_dir, **publisher.settings, DEPLOY_AFTER_RELEASE=True)
    with db.connection():
        feeds.add(portal, "auto", auto=True, deploy_after=24)
        updates.auto_update(portal, KERNEL)
        assert enabled("auto") == ["K20260104_01"]
        hours_pass(25)
        updates.auto_update(portal, KERNEL)
        assert enabled("auto") == ["K20260104_01", FIRST, SECOND]
    db.close()


@pytest.mark.parametrize("form", ["{:%Y-%m-%dT%H:%M:%SZ}", "{:%Y-%m-%d %H:%M:%S}"])
@pytest.mark.parametrize(("hours", "expected"), [(9, []), (11, [FIRST])])
def test_a_release_may_have_a_time_of_day(
    data_dir: Path, publisher: Publisher, form: str, hours: int, expected: list[str]
) -> None:
    publisher.remove(SECOND)
    offer = publisher.source.offered("kernel", FIRST)
    with publisher.source.opened() as opened_source:
        released = form.format(now() - timedelta(hours=hours))
        opened_source.put([replace(offer, released=released)])
        publish(opened_source)
    portal = opened(data_dir, **publisher.settings, DEPLOY_AFTER_RELEASE=True)
    with db.connection():
        feeds.add(portal, "auto", auto=True, deploy_after=10)
        updates.auto_update(portal, KERNEL)
        assert enabled("auto") == expected
    db.close()


# The job


def test_the_job_brings_everything_and_deploys_to_automatic_feeds(
    portal: Portal, publisher: Publisher
) -> None:
    publisher.list(
        publisher.pack(THIRD, {WEB: 3}, channels=["test"]),
        publisher.pack("K20260104_01", {WEB: 4}, channels=["unstable"]),
        publisher.pack("U20260101_01", {"ab" * 20: 1}),
    )
    feeds.add(portal, "test", channel="test")
    assert job(portal).run() == "4 patchsets were downloaded, enabled in feeds: 3"
    assert [row.name for row in patchsets.all_of(KERNEL)] == [FIRST, SECOND, THIRD]
    assert enabled("auto") == [FIRST, SECOND, "U20260101_01"]
    assert (enabled("main"), enabled("test")) == ([], [])
    before = Change.select().count()
    assert job(portal).run() == "0 patchsets were downloaded, enabled in feeds: 0"
    assert Change.select().count() == before


def test_without_a_source_the_job_does_and_says_nothing(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    portal = opened(data_dir)
    with db.connection(), caplog.at_level(logging.INFO):
        assert job(portal).run() == ""
    assert caplog.records == []
    assert not (data_dir / "source").exists()
    db.close()


def test_the_job_tells_what_could_not_be_had_and_does_the_rest(
    portal: Portal, publisher: Publisher
) -> None:
    publisher.stored(SECOND).write_bytes(b"not what was signed")
    with pytest.raises(PortalError, match=f"1 of 2 patchsets could not be had: {SECOND}"):
        job(portal).run()
    assert enabled("auto") == [FIRST]


def test_without_an_answer_nothing_is_enabled(portal: Portal, publisher: Publisher) -> None:
    """What waits may have been blocked by now."""
    feeds.change(portal, "auto", deploy_after=1)
    job(portal).run()
    hours_pass(2)
    away = publisher.folder.rename(publisher.folder.with_name("away"))
    with pytest.raises(PortalError):
        job(portal).run()
    assert enabled("auto") == []
    away.rename(publisher.folder)
    job(portal).run()
    assert enabled("auto") == [FIRST, SECOND]


def test_the_period_is_a_setting(data_dir: Path) -> None:
    assert job(opened(data_dir)).period == 600
    assert job(opened(data_dir, AUTO_UPDATE_PERIOD=30)).period == 30


def test_a_served_portal_updates_itself(data_dir: Path, publisher: Publisher) -> None:
    settings = {**publisher.settings, "AUTO_UPDATE_PERIOD": "10"}
    with serving(data_dir, **settings) as served:
        served.cli.ok("feed", "-a", "auto", "--auto")

        def states() -> dict[str, str]:
            rows = served.cli.json("kcare", "list", "--feed", "auto")
            return {row["patchset"]: row["status"] for row in rows}

        eventually(lambda: states() == {FIRST: "enabled", SECOND: "enabled"}, 30)
