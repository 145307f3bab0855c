"""Bundles: they carry what the other side lacks, whole or in parts, and say what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.airgap import (
    FIRST,
    SECOND,
    THIRD,
    USERSPACE,
    World,
    archives_in,
    contents,
    copy_world,
    make_world,
)
from tests.support.disks import MIB, MountedDisk, mountable, mounted
from tests.support.patches import DB
from tests.support.sources import spoil

#: Bytes that a part may have, so that there are several.
SPLIT = 45_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    """With ``bundle``, whole, and ``parts``, in two or more; nothing is applied yet."""
    world = make_world(tmp_path_factory.mktemp("made") / "world")
    world.create()
    world.create("--split", SPLIT, name="parts")
    return world


@pytest.fixture
def world(made: World, tmp_path: Path) -> World:
    """A copy, to be changed."""
    return copy_world(made, tmp_path / "world")


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_bundle_brings_everything_and_a_feed_gets_it(world: World) -> None:
    told = world.applied(world.folder / "bundle", "--feed", "main")
    assert "3 patchsets came, enabled in feeds: 3\n" in told
    assert world.states() == {FIRST: "enabled", SECOND: "enabled"}
    assert world.here() == {FIRST, SECOND, USERSPACE}


def test_without_a_feed_only_those_that_update_by_themselves_get_it(world: World) -> None:
    world.far.ok("feed", "-a", "early", "--auto")
    world.far.ok("feed", "-a", "late", "--auto", "--deploy-after", "24")
    world.applied(world.folder / "bundle")
    rows = {row["patchset"]: row["feeds"] for row in world.far.json("kcare", "list")}
    assert rows[SECOND] == {"early": "enabled", "late": "undeployed", "main": "undeployed"}


def test_applying_again_changes_nothing(world: World) -> None:
    world.applied(world.folder / "bundle", "--feed", "main")
    before = world.published()
    told = world.applied(world.folder / "bundle", "--feed", "main")
    assert "0 patchsets came, enabled in feeds: 0\n" in told
    assert world.published() == before


def test_a_bundle_is_a_source(world: World) -> None:
    environ = {**world.far_environ, "EPORTAL_PATCH_SOURCE_URL": str(world.folder / "bundle")}
    world.far.ok("kcare", "update", **environ)
    assert world.states() == {FIRST: "enabled", SECOND: "enabled"}


def test_what_is_blocked_is_not_carried_and_is_disabled_on_the_other_side(world: World) -> None:
    world.applied(world.folder / "bundle", "--feed", "main")
    world.source.set_state("blocked", SECOND)
    second = world.create(name="second")
    assert archives_in(second) == {FIRST, USERSPACE}
    told = world.applied(second)
    assert f"{SECOND} was blocked by the patch source" in told
    assert "still to come" not in told
    assert world.states()[SECOND] != "enabled"


class TestSince:
    def test_only_what_is_new_is_carried(self, world: World) -> None:
        world.applied(world.folder / "bundle", "--feed", "main")
        world.source.offer("kernel", THIRD, {DB: 2})
        second = world.create("--since", world.receipt(world.folder / "bundle"), name="second")
        assert archives_in(second) == {THIRD}
        world.applied(second, "--feed", "main")
        assert world.states() == {FIRST: "enabled", SECOND: "enabled", THIRD: "enabled"}

    def test_a_receipt_of_a_portal_that_has_nothing(self, world: World) -> None:
        receipt = world.folder / "receipt"
        world.far.ok("bundle", "receipt", receipt, **world.far_environ)
        second = world.create("--since", receipt, name="second")
        assert archives_in(second) == archives_in(world.folder / "bundle")

    def test_a_receipt_that_is_printed_is_the_same(self, world: World) -> None:
        printed = json.loads(world.far.ok("bundle", "receipt", **world.far_environ))
        world.far.ok("bundle", "receipt", world.folder / "receipt", **world.far_environ)
        written = json.loads((world.folder / "receipt").read_text())
        assert {**printed, "made": "", "checksum": ""} == {**written, "made": "", "checksum": ""}
        assert written["source"] == world.source.fingerprint

    def test_where_the_receipt_is_written(self, world: World) -> None:
        world.applied(world.folder / "bundle", "--receipt", world.folder / "here.json")
        assert (world.folder / "here.json").is_file()
        assert not list((world.folder / "bundle").glob("receipt-*"))

    @pytest.mark.parametrize(
        ("spoiled", "sentence"),
        [
            (lambda data: data.replace(b"kernel", b"kernal"), "was damaged on its way"),
            (lambda data: data[:-40], "is no receipt"),
            (lambda data: b"[" * 100_000, "is no receipt"),
            (lambda data: b"\xff\xfe", "is no receipt"),
            (lambda data: data + b" " * (64 * MIB), "is longer than"),
            (lambda data: data.replace(b'"format": 1', b'"format": 2'), "of another version"),
        ],
    )
    def test_a_receipt_that_cannot_be_used(
        self, spoiled: Callable[[bytes], bytes], sentence: str, world: World
    ) -> None:
        world.applied(world.folder / "bundle")
        receipt = world.receipt(world.folder / "bundle")
        receipt.write_bytes(spoiled(receipt.read_bytes()))
        assert sentence in world.refused_create("--since", receipt)

    def test_a_receipt_for_another_source(self, world: World) -> None:
        other = make_world(world.folder / "other")
        other.create()
        other.applied(other.folder / "bundle")
        said = world.refused_create("--since", other.receipt(other.folder / "bundle"))
        assert "is for another patch source" in said
        assert other.source.fingerprint in said

    def test_a_receipt_of_a_portal_that_knows_more_than_this_source(self, world: World) -> None:
        """As the source went back, which whoever knows more would refuse."""
        before = world.source.saved()
        world.source.offer("kernel", THIRD, {DB: 2})
        world.applied(world.create(name="second"))
        receipt = world.receipt(world.folder / "second")
        world.source.restore(before)
        world.near.data_dir.rename(world.folder / "forgotten")
        world.near.ok("feed")
        assert "would refuse the bundle" in world.refused_create("--since", receipt)


class TestParts:
    def parts(self, world: World) -> list[Path]:
        found = sorted((world.folder / "parts").iterdir())
        assert len(found) >= 2
        return found

    def test_none_is_larger_than_it_may_be(self, world: World) -> None:
        parts = self.parts(world)
        assert all(size_of(part) <= SPLIT for part in parts)
        assert [part.name for part in parts] == list(contents(parts[0])["parts"])
        carried = [name for part in parts for name in archives_in(part)]
        assert sorted(carried) == [FIRST, SECOND, USERSPACE]

    def test_all_together(self, world: World) -> None:
        told = world.applied(*self.parts(world), "--feed", "main")
        assert "3 patchsets came" in told
        assert "still to come" not in told

    def test_by_the_folder_that_holds_them(self, world: World) -> None:
        assert "3 patchsets came" in world.applied(world.folder / "parts")

    @pytest.mark.parametrize("order", [1, -1])
    def test_one_after_the_other_in_any_order(self, order: int, world: World) -> None:
        parts = self.parts(world)[::order]
        for number, part in enumerate(parts):
            told = world.applied(part, "--feed", "main")
            missing = set().union(*(archives_in(later) for later in parts[number + 1 :]))
            lines = [line for line in told.splitlines() if "still to come" in line]
            assert all(any(name in line for line in lines) for name in missing)
            assert [line.split()[0] for line in lines] == sorted(
                later.name for later in parts[number + 1 :]
            )
        assert world.states() == {FIRST: "enabled", SECOND: "enabled"}
        assert world.here() == {FIRST, SECOND, USERSPACE}

    def test_an_archive_that_fits_no_part(self, world: World) -> None:
        said = world.refused_create("--split", 35_000)
        assert "alone needs a part of" in said
        assert "--split allows 35000" in said

    @pytest.mark.parametrize("size", ["", "0", "-1", "4X", "1e9", "٤G"])
    def test_what_is_no_size(self, size: str, world: World) -> None:
        assert "is no size" in world.refused_create("--split", size)

    def test_a_damaged_copy_beside_a_good_one(self, world: World) -> None:
        first, second = self.parts(world)[:2]
        (good,) = first.rglob(f"*.{FIRST}.tar.bz2")
        copy = second / good.relative_to(first)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(good.read_bytes())
        spoil(good)
        assert "3 patchsets came" in world.applied(*self.parts(world))


class TestCreate:
    def test_a_folder_that_is_there_is_let_be(self, world: World) -> None:
        before = {path: path.stat().st_mtime_ns for path in (world.folder / "bundle").rglob("*")}
        done = world.near("bundle", "create", world.folder / "bundle", **world.near_environ)
        assert (done.code, done.out) == (1, "")
        assert "is there already" in done.said
        after = {path: path.stat().st_mtime_ns for path in (world.folder / "bundle").rglob("*")}
        assert after == before

    def test_archives_that_are_here_are_not_fetched(self, world: World) -> None:
        world.near.ok("kcare", "update", **world.near_environ)
        spoil(world.source.stored("kernel", FIRST))
        world.create(name="second")
        assert archives_in(world.folder / "second") == {FIRST, SECOND, USERSPACE}
        world.applied(world.folder / "second")

    def test_an_archive_that_is_damaged_here_is_fetched(self, world: World) -> None:
        world.near.ok("kcare", "update", **world.near_environ)
        spoil(world.near.data_dir / "arch" / f"{FIRST}.tar.bz2")
        (world.near.data_dir / "arch" / f"{SECOND}.meta.json").unlink()
        second = world.create(name="second")
        assert "3 patchsets came" in world.applied(second)

    def test_an_archive_that_cannot_be_had_whole(self, world: World) -> None:
        spoil(world.source.stored("kernel", SECOND))
        assert "has other bytes than its sha256 says" in world.refused_create()

    def test_what_it_says_of_itself(self, world: World) -> None:
        said = contents(world.folder / "bundle")
        assert said["source"] == world.source.fingerprint
        assert said["metadata"]["timestamp"] >= 1
        expires = datetime.fromisoformat(said["expires"])
        assert timedelta(0) < expires - datetime.now(UTC) <= timedelta(days=1)
        for file in said["files"]:
            assert (world.folder / "bundle" / file["path"]).stat().st_size == file["size"]

    def test_a_source_whose_root_was_rotated(self, world: World) -> None:
        """The portal trusts the first root, and needs all that follow."""
        world.source.rotate("root")
        world.source.rotate("timestamp")
        assert "3 patchsets came" in world.applied(world.create(name="second"))

    def test_by_a_portal_that_trusts_a_later_root(self, world: World, tmp_path: Path) -> None:
        world.source.rotate("root")
        root = tmp_path / "later.json"
        root.write_bytes(world.source.file("root").read_bytes())
        environ = {
            "EPORTAL_PATCH_SOURCE_URL": str(world.source.folder),
            "EPORTAL_PATCH_SOURCE_ROOT": str(root),
        }
        world.near.ok("bundle", "create", world.folder / "second", **environ)
        assert "3 patchsets came" in world.applied(world.folder / "second")

    @pytest.mark.skipif(not mountable(), reason="nothing may be mounted here")
    @pytest.mark.parametrize("left", [10_000, 120_000])
    def test_a_disk_without_room(self, left: int, world: World, tmp_path: Path) -> None:
        """It is told before anything is written, or while it is; nothing is left either way."""
        with mounted(tmp_path / "disk", MIB) as place:
            MountedDisk(place).fill(left)
            done = world.near("bundle", "create", place / "bundle", **world.near_environ)
            assert done.code == (1 if left == 10_000 else done.code)
            if done.code:
                assert "bytes at" in done.said or "No space left" in done.said
                assert {path.name for path in place.iterdir()} == {"filler"}


class TestAge:
    def test_data_is_as_old_as_its_signature(self, world: World, tmp_path: Path) -> None:
        """However fresh the bundle, and whenever it is applied."""
        old = make_world(tmp_path / "old", days={"timestamp": 30})
        old.source.forge("timestamp", expires=timedelta(days=20))
        old.applied(old.create())
        refreshed = (old.far.data_dir / "source" / "refreshed").read_text()
        age = datetime.now(UTC) - datetime.fromisoformat(refreshed)
        assert timedelta(days=9, hours=23) < age < timedelta(days=10, hours=1)
