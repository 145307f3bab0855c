"""``--clean-releases`` beside a patch source: what it lists stays, for it would come again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.inprocess import InProcess
from tests.support.patches import WEB
from tests.support.publishing import Publisher, pack
from tests.support.updating import Below

OLD, NEW = "K20260101_01", "K20260102_01"
NOTHING = ["There are no obsolete releases"]


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    """A source with two patchsets, the newer of which does all that the older does."""
    publisher = Publisher.start(tmp_path / "publisher")
    publisher.list(publisher.pack(OLD, {WEB: 1}), publisher.pack(NEW, {WEB: 2}))
    return publisher


@pytest.fixture
def below(kc: InProcess, publisher: Publisher) -> Below:
    below = Below(kc, publisher.settings)
    below.ok("kcare", "update")
    return below


def names(below: Below) -> set[str]:
    return {path.name.partition(".")[0] for path in (below.kc.data_dir / "arch").iterdir()}


def dry_run(below: Below) -> list[str]:
    return below.kc("--clean-releases", DRY_RUN="1", **below.environ).out.splitlines()


def test_what_the_source_lists_stays(below: Below) -> None:
    assert dry_run(below) == NOTHING
    assert below.ok("--clean-releases") == NOTHING
    assert names(below) == {OLD, NEW}


def test_what_it_does_not_list_any_more_goes(below: Below, publisher: Publisher) -> None:
    publisher.remove(OLD)
    # What the portal does not know yet, it does not act on.
    assert below.ok("--clean-releases") == NOTHING
    below.ok("kcare", "update")
    assert dry_run(below) == [f"{OLD} would be deleted"]
    assert names(below) == {OLD, NEW}
    assert below.ok("--clean-releases")[-1] == f"{OLD} was deleted"
    assert names(below) == {NEW}
    below.ok("kcare", "update")
    assert names(below) == {NEW}


def test_what_a_feed_needs_stays_whatever_the_source_lists(
    below: Below, publisher: Publisher
) -> None:
    publisher.remove(OLD, NEW)
    below.ok("feed", "-a", "behind")
    below.ok("kcare", "enable", OLD, "--feed", "behind")
    below.ok("kcare", "update")
    assert below.ok("--clean-releases") == NOTHING
    assert below.states("main") == {OLD: "enabled", NEW: "enabled"}


def test_what_came_by_hand_is_cleaned_as_ever(
    below: Below, publisher: Publisher, tmp_path: Path
) -> None:
    below.ok("kcare", "deploy", pack(tmp_path / "own", "K20250101_01", {WEB: 2025}))
    below.ok("kcare", "deploy", pack(tmp_path / "own", "K20250102_01", {WEB: 2026}))
    assert below.ok("--clean-releases")[-1] == "K20250101_01 was deleted"
    assert names(below) == {OLD, NEW, "K20250102_01"}


def test_without_a_source_what_it_once_listed_counts_for_nothing(below: Below) -> None:
    assert below.kc("--clean-releases").out.splitlines()[-1].endswith(f"{OLD} was deleted")
    assert names(below) == {NEW}
