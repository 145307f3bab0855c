"""Bundles as somebody on the way may have changed them, and moments that are bad: by name."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from eportal_core.errors import InvalidValue
from eportal_core.source.bundle import receipts
from tests.support.airgap import (
    FIRST,
    SECOND,
    THIRD,
    USERSPACE,
    World,
    archive,
    archives_in,
    contents,
    copy_world,
    make_world,
)
from tests.support.disks import MIB, MountedDisk, mountable, mounted, not_ours, read_only
from tests.support.mortal import Fate, Mortals
from tests.support.patches import DB
from tests.support.sources import spoil, stranger

mounts = pytest.mark.skipif(not mountable(), reason="nothing may be mounted here")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    """With ``bundle``; nothing is applied yet."""
    world = make_world(tmp_path_factory.mktemp("made") / "world")
    world.create()
    world.far.ok("feed")
    return world


@pytest.fixture
def world(made: World, tmp_path: Path) -> World:
    """A copy, to be changed."""
    return copy_world(made, tmp_path / "world")


@pytest.fixture
def bundle(world: World) -> Path:
    return world.folder / "bundle"


def stored(bundle: Path, name: str) -> Path:
    (path,) = bundle.rglob(f"*.{name}.tar.bz2")
    return path


class TestArchives:
    """Each is refused by itself: the others come."""

    def check(self, world: World, bundle: Path, sentence: str) -> None:
        done = world.apply(bundle, "--feed", "main")
        assert done.code == 1
        assert f"1 of 3 patchsets could not be had: {FIRST}" in done.said
        assert sentence in done.out
        assert world.here() == {SECOND, USERSPACE}
        assert world.states() == {FIRST: "not-downloaded", SECOND: "enabled"}

    def test_tampered_archive(self, world: World, bundle: Path) -> None:
        spoil(stored(bundle, FIRST), at=200)
        self.check(world, bundle, "offers what nobody signed")

    def test_archive_cut_short(self, world: World, bundle: Path) -> None:
        os.truncate(stored(bundle, FIRST), 100)
        self.check(world, bundle, "offers what nobody signed")

    def test_archive_without_end(self, world: World, bundle: Path) -> None:
        os.truncate(stored(bundle, FIRST), 1 << 40)
        self.check(world, bundle, "is longer than")

    def test_swapped_archives(self, world: World, bundle: Path) -> None:
        shutil.copy(stored(bundle, SECOND), stored(bundle, FIRST))
        self.check(world, bundle, "offers what nobody signed")

    def test_link_that_leads_out(self, world: World, bundle: Path) -> None:
        """Even to the very bytes: who made the link may change them after they were looked at."""
        outside = world.folder / "outside"
        stored(bundle, FIRST).rename(outside)
        target = bundle / "targets" / "kernel"
        (name,) = (
            file["path"]
            for file in contents(bundle)["files"]
            if file["path"].endswith(f"{FIRST}.tar.bz2")
        )
        (target / Path(name).name).symlink_to(outside)
        self.check(world, bundle, "leads out of the patch source by a link")

    def test_pipe(self, world: World, bundle: Path) -> None:
        path = stored(bundle, FIRST)
        path.unlink()
        os.mkfifo(path)
        self.check(world, bundle, "is not a file")

    def test_the_good_one_is_taken_afterwards(self, world: World, bundle: Path) -> None:
        good = stored(bundle, FIRST).read_bytes()
        spoil(stored(bundle, FIRST))
        assert world.apply(bundle, "--feed", "main").code == 1
        stored(bundle, FIRST).write_bytes(good)
        world.applied(bundle, "--feed", "main")
        assert world.states() == {FIRST: "enabled", SECOND: "enabled"}


class TestMetadata:
    """All or nothing: a bundle that is refused changes nothing."""

    @pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "kernel"])
    def test_tampered_metadata(self, role: str, world: World, bundle: Path) -> None:
        (path,) = (bundle / "metadata").glob(f"*{role}.json")
        path.write_bytes(path.read_bytes().replace(b'"expires":"2', b'"expires":"3'))
        assert "is refused" in world.refused(bundle)

    @pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "kernel", "1.root"])
    def test_missing_metadata(self, role: str, world: World, bundle: Path) -> None:
        for path in (bundle / "metadata").glob(f"*{role}.json"):
            path.unlink()
        assert "is not whole" in world.refused(bundle) or role == "1.root"

    def test_metadata_without_end(self, world: World, bundle: Path) -> None:
        os.truncate(bundle / "metadata" / "timestamp.json", 1 << 40)
        assert "is longer than" in world.refused(bundle)

    def test_rollback_to_an_older_bundle(self, world: World, bundle: Path) -> None:
        world.source.remove(FIRST)
        world.source.add(archive(world.folder, THIRD, {DB: 2}))
        world.applied(world.create(name="second"), "--feed", "main")
        said = world.refused(bundle, "--feed", "main")
        assert "timestamp.json has version" in said
        assert "old data again" in said
        assert FIRST not in world.here()

    def test_freeze_by_a_bundle_that_expired(self, world: World, bundle: Path) -> None:
        """Signed by the publisher himself, some time ago."""
        world.source.forge("timestamp", expires=-timedelta(days=3))
        shutil.copy(world.source.file("timestamp"), bundle / "metadata" / "timestamp.json")
        said = world.refused(bundle)
        when = datetime.now(UTC) - timedelta(days=3)
        assert f"its timestamp.json expired at {when:%Y-%m-%d}" in said

    def test_wrong_key(self, world: World, bundle: Path) -> None:
        world.source.forge("timestamp", signers=[stranger()])
        shutil.copy(world.source.folder / "metadata" / "timestamp.json", bundle / "metadata")
        assert "not signed by the keys that are trusted" in world.refused(bundle)

    def test_mix_and_match(self, world: World, bundle: Path) -> None:
        """The newest timestamp over the lists of before."""
        world.source.add(archive(world.folder, THIRD, {DB: 2}))
        second = world.create(name="second")
        shutil.copy(second / "metadata" / "timestamp.json", bundle / "metadata")
        world.refused(bundle)

    def test_bundle_of_another_source(self, world: World) -> None:
        other = make_world(world.folder / "other")
        said = world.refused(other.create())
        assert "has the fingerprint" in said
        assert other.source.fingerprint in said

    def test_another_source_once_one_was_applied(self, world: World, bundle: Path) -> None:
        world.applied(bundle)
        other = make_world(world.folder / "other")
        assert "not signed by the keys that are trusted" in world.refused(other.create())

    def test_nothing_is_trusted_by_itself(self, world: World, bundle: Path) -> None:
        done = world.far("bundle", "apply", bundle)
        assert done.code != 0
        assert "not trusted yet" in done.said
        assert world.here() == set()

    def test_folder_of_metadata_that_leads_out(self, world: World, bundle: Path) -> None:
        outside = world.folder / "outside"
        (bundle / "metadata").rename(outside)
        (bundle / "metadata").symlink_to(outside)
        assert "leads out" in world.refused(bundle)


class TestParts:
    def test_part_of_another_bundle_mixed_in(self, world: World) -> None:
        one = world.create("--split", 45_000, name="one")
        world.source.add(archive(world.folder, THIRD, {DB: 2}))
        two = world.create("--split", 45_000, name="two")
        said = world.refused(one / "part-001", two / "part-002")
        assert "are of different bundles" in said
        assert str(two / "part-002") in said

    def test_archives_of_another_bundle_mixed_in(self, world: World) -> None:
        """Each is what it is signed as, whatever it came with."""
        one = world.create("--split", 45_000, name="one")
        world.source.add(archive(world.folder, THIRD, {DB: 2}))
        two = world.create("--split", 45_000, name="two")
        shutil.copytree(
            two / "part-002" / "targets", one / "part-001" / "targets", dirs_exist_ok=True
        )
        world.applied(one / "part-001", "--feed", "main")
        assert THIRD not in world.here()
        assert archives_in(one / "part-001") - {THIRD} == world.here()

    @pytest.mark.parametrize("name", ["nothing", "source.keys", "near"])
    def test_what_is_no_bundle(self, name: str, world: World) -> None:
        said = world.refused(world.folder / name)
        assert "is no bundle" in said or "There is no folder" in said


class TestLies:
    """``bundle.json`` is signed by nobody, and nothing is decided by it."""

    def lie(self, bundle: Path, change: Callable[[Any], Any]) -> None:
        data = contents(bundle)
        data = change(data) or data
        (bundle / "bundle.json").write_text(json.dumps(data))

    @pytest.mark.parametrize(
        "change",
        [
            lambda data: data["files"].clear(),
            lambda data: (
                [file.update(checksum="sha256:0", size=0) for file in data["files"]] and None
            ),
            lambda data: data.update(expires="2099-01-01", source="f" * 64, metadata={}),
            lambda data: (
                [file.update(path="../../../etc/passwd") for file in data["files"]] and None
            ),
            lambda data: [file.update(path="/etc/passwd\0") for file in data["files"]] and None,
            lambda data: [file.update(part="../part-001") for file in data["files"]] and None,
            lambda data: {"format": 1},
            lambda data: ["format"],
        ],
    )
    def test_bundle_json_that_lies(
        self, change: Callable[[Any], Any], world: World, bundle: Path
    ) -> None:
        self.lie(bundle, change)
        stored(bundle, SECOND).unlink()
        told = world.applied(bundle, "--feed", "main")
        assert SECOND in next(line for line in told.splitlines() if "Not found here" in line)
        assert world.here() == {FIRST, USERSPACE}
        assert ".." not in told.replace(str(bundle), "")

    @pytest.mark.parametrize("data", [b"", b"{" * 200_000, b"\xff", b"null", None])
    def test_bundle_json_that_is_none(self, data: bytes | None, world: World, bundle: Path) -> None:
        path = bundle / "bundle.json"
        if data is None:
            os.truncate(path, 1 << 40)
        else:
            path.write_bytes(data)
        stored(bundle, SECOND).unlink()
        assert "Not found here" in world.applied(bundle)

    def test_bundle_json_by_a_link_to_a_secret(self, world: World, bundle: Path) -> None:
        (bundle / "bundle.json").unlink()
        (bundle / "bundle.json").symlink_to("/etc/passwd")
        assert "3 patchsets came" in world.applied(bundle)


class TestMedia:
    @mounts
    def test_read_only_medium(self, world: World, bundle: Path, tmp_path: Path) -> None:
        with mounted(tmp_path / "disk", MIB) as place:
            shutil.copytree(bundle, place / "bundle")
            with read_only(place):
                done = world.apply(place / "bundle", "--feed", "main")
                assert done.code == 0
                assert "Read-only file system" in done.err
                printed = json.loads(done.out[done.out.index("{\n") :])
                assert [row["name"] for row in printed["patchsets"]] == [FIRST, SECOND, USERSPACE]
        assert world.states() == {FIRST: "enabled", SECOND: "enabled"}

    def test_medium_that_is_not_ours(self, world: World, bundle: Path, run: Mortals) -> None:
        with not_ours(bundle):
            outcome = run(
                world.far.data_dir,
                *("bundle", "apply", bundle),
                fate=Fate(powerless=True),
                settings=settings(world),
            )
        assert outcome.returncode == 0, outcome
        assert '"patchsets"' in outcome.output

    def test_links_in_wait_for_the_receipt(self, world: World, bundle: Path) -> None:
        """Its name is known to whoever saw the last one; root writes it."""
        instance = (world.far.data_dir / "instance-id").read_text().strip()
        secret = world.folder / "secret"
        secret.write_text("precious")
        for name in (f"receipt-{instance}.json", f"receipt-{instance}.json.new"):
            (bundle / name).symlink_to(secret)
        world.applied(bundle)
        assert secret.read_text() == "precious"
        receipt = world.receipt(bundle)
        assert not receipt.is_symlink()
        assert FIRST in receipt.read_text()

    def test_receipt_that_cannot_be_written_where_it_was_wanted(
        self, world: World, bundle: Path
    ) -> None:
        done = world.apply(bundle, "--receipt", world.folder / "nowhere" / "receipt")
        assert done.code == 1
        assert "The disk refused" in done.said


def settings(world: World) -> dict[str, str]:
    return {"PATCH_SOURCE_FINGERPRINT": world.source.fingerprint}


def near_settings(world: World) -> dict[str, str]:
    return {"PATCH_SOURCE_URL": str(world.source.folder), **settings(world)}


class TestBadMoments:
    """Whatever happens, what is there verifies, and doing it again completes it."""

    def complete(self, world: World, bundle: Path) -> None:
        world.far.ok("kcare", "verify")
        world.applied(bundle, "--feed", "main")
        assert world.states() == {FIRST: "enabled", SECOND: "enabled"}
        assert world.here() == {FIRST, SECOND, USERSPACE}
        world.far.ok("kcare", "verify")
        world.far.ok("libcare", "verify")
        downloads = world.far.data_dir / "cache" / "downloads"
        assert not [path for path in downloads.rglob("*") if path.is_file()]

    def test_kill_9_while_applying(self, world: World, bundle: Path, run: Mortals) -> None:
        fresh = world.folder / "fresh"
        shutil.copytree(world.far.data_dir, fresh)
        command = ("bundle", "apply", bundle, "--feed", "main")
        step, deaths = 1, 0
        while True:
            shutil.rmtree(world.far.data_dir)
            shutil.copytree(fresh, world.far.data_dir)
            outcome = run(
                world.far.data_dir, *command, fate=Fate(die_at=step), settings=settings(world)
            )
            if not outcome.died:
                break
            deaths += 1
            self.complete(world, bundle)
            step += 23
        assert outcome.returncode == 0, outcome
        assert deaths >= 5

    def test_kill_9_while_creating(self, world: World, run: Mortals) -> None:
        """Nothing that looks whole, and the next attempt leaves nothing of the one before."""
        folder = world.near.data_dir / "media"
        step, deaths = 1, 0
        while True:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            command = ("bundle", "create", folder / "bundle")
            outcome = run(
                world.near.data_dir,
                *command,
                fate=Fate(die_at=step),
                settings=near_settings(world),
            )
            if not outcome.died:
                break
            deaths += 1
            if (folder / "bundle").exists():
                assert archives_in(folder / "bundle") == {FIRST, SECOND, USERSPACE}
                shutil.rmtree(folder / "bundle")
            run.ok(world.near.data_dir, *command, settings=near_settings(world))
            assert [path.name for path in folder.iterdir()] == ["bundle"]
            step += 11
        assert deaths >= 4
        assert outcome.returncode == 0, outcome
        assert "3 patchsets came" in world.applied(folder / "bundle")

    def test_disk_that_is_full_while_applying(
        self, world: World, bundle: Path, run: Mortals
    ) -> None:
        """Some patchsets may have come; one sentence says what did not."""
        fresh = world.folder / "fresh"
        shutil.copytree(world.far.data_dir, fresh)
        command = ("bundle", "apply", bundle, "--feed", "main")
        step, refusals = 1, 0
        while True:
            shutil.rmtree(world.far.data_dir)
            shutil.copytree(fresh, world.far.data_dir)
            outcome = run(
                world.far.data_dir, *command, fate=Fate(full_from=step), settings=settings(world)
            )
            if outcome.returncode == 0:
                break
            assert outcome.returncode == 1, outcome
            assert "kc.eportal: error: " in outcome.output
            assert "Traceback" not in outcome.output
            refusals += 1
            self.complete(world, bundle)
            step += 13
        assert refusals >= 4

    @mounts
    def test_disk_with_too_little_room(self, world: World, bundle: Path, tmp_path: Path) -> None:
        with mounted(tmp_path / "disk", 3 * MIB) as place:
            far = World(tmp_path)
            (tmp_path / "far").symlink_to(place)
            far.far.ok("feed")
            disk = MountedDisk(place)
            disk.fill(60_000)
            done = far.far("bundle", "apply", bundle, **world.far_environ)
            disk.free()
            assert done.code == 1
            assert "Traceback" not in done.err
            far.far.ok("bundle", "apply", bundle, **world.far_environ)
            assert far.here() == {FIRST, SECOND, USERSPACE}

    def test_two_applies_at_once(self, world: World, bundle: Path, run: Mortals) -> None:
        command = ("bundle", "apply", bundle, "--feed", "main")
        outcomes = run.together(
            world.far.data_dir, [command, command, command], settings=settings(world)
        )
        assert any(outcome.returncode == 0 for outcome in outcomes)
        for outcome in outcomes:
            assert outcome.returncode == 0 or "being read already" in outcome.output, outcome
        self.complete(world, bundle)

    def test_two_creations_at_once(self, world: World, run: Mortals) -> None:
        command = ("bundle", "create", world.folder / "twice")
        outcomes = run.together(
            world.near.data_dir, [command, command, command], settings=near_settings(world)
        )
        assert sum(outcome.returncode == 0 for outcome in outcomes) == 1
        for outcome in outcomes:
            said = ("being read already", "being written already", "is there already")
            assert outcome.returncode == 0 or any(map(outcome.output.__contains__, said)), outcome
        assert "3 patchsets came" in world.applied(world.folder / "twice")


def test_a_pipe_is_no_receipt(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidValue, match="is no receipt"):
        receipts.read(tmp_path / "pipe")
