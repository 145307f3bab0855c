"""Bundles carry the mirror of packages too: only what is new, in parts, and believed in nothing."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support import airgap, esu_world
from tests.support.airgap import FIRST, SECOND, USERSPACE, contents, make_world
from tests.support.commands import CommandLine
from tests.support.disks import MIB
from tests.support.esu_upstream import upstream
from tests.support.esu_world import REPOSITORY, Packages, packages
from tests.support.inprocess import Done
from tests.support.mortal import Fate, mortals
from tests.support.sources import spoil

FOLDER = f"carried/tuxcare-esu/{REPOSITORY}"
HELLO = "Packages/h/hello-1.0-1.noarch.rpm"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Packages]:
    with packages(tmp_path_factory.mktemp("packages")) as found:
        yield found


@pytest.fixture(scope="module")
def patchsets(tmp_path_factory: pytest.TempPathFactory) -> airgap.World:
    return make_world(tmp_path_factory.mktemp("patchsets") / "world")


class Sides:
    """A portal that mirrors ``esu``, and may read a patch source, and one without a network."""

    def __init__(self, esu: esu_world.World, folder: Path, far: dict[str, str]) -> None:
        settings = {f"EPORTAL_{name}": value for name, value in esu.settings.items()}
        self.esu = esu
        self.air = airgap.World(folder, settings, {f"EPORTAL_{k}": v for k, v in far.items()})
        self.arrived = esu_world.World(esu.made, esu.upstream, self.air.far.data_dir)

    def create(self, name: str, *options: object) -> tuple[Path, str]:
        """A bundle of packages alone, and what is printed."""
        folder = self.air.folder / name
        told = self.air.near.ok("bundle", "create", *options, folder, **self.air.more_near)
        return folder, told

    def apply(self, *arguments: object) -> Done:
        return self.air.far("bundle", "apply", *arguments, **self.air.more_far)

    def applied(self, *arguments: object) -> str:
        done = self.apply(*arguments)
        assert (done.code, done.err) == (0, ""), done
        return done.out

    def is_whole(self) -> bool:
        """Whether the far portal's clients see what those of the near one see."""
        done = self.air.far("esu", "verify", **self.air.more_far)
        return done.code == 0 and self.arrived.seen().items() >= self.esu.seen().items()


@pytest.fixture
def sides(made: Packages, patchsets: airgap.World, tmp_path: Path) -> Iterator[Sides]:
    """``hello`` is mirrored on the near side; nothing is set or trusted but the settings."""
    first = made.folder.parent
    airgap.copy_world(patchsets, tmp_path / "world")
    shutil.copytree(first / "var", tmp_path / "world" / "near", symlinks=True)
    shutil.copytree(first / "upstream", tmp_path / "upstream")
    with upstream(tmp_path / "upstream") as source:
        esu = esu_world.World(made, source, tmp_path / "world" / "near")
        far = {"ESU_REPOSITORIES": REPOSITORY, "ESU_GPG_KEY": str(made.key)}
        yield Sides(esu, tmp_path / "world", far)


def rpms(folder: Path) -> set[str]:
    """Names of the packages below ``folder``."""
    return {path.name.partition("-")[0] for path in folder.rglob("*.rpm")}


class TestBoth:
    """Patchsets and packages in one bundle."""

    def test_all_products_come(self, sides: Sides) -> None:
        air, folder = sides.air, sides.air.folder / "bundle"
        told = air.near.ok("bundle", "create", folder, **air.near_environ)
        assert told.startswith(f"{folder} has 3 patchsets and 1 packages of {REPOSITORY}, ")
        assert contents(folder)["carried"] == {f"tuxcare-esu/{REPOSITORY}": 1}
        told = air.applied(folder, "--feed", "main")
        assert "3 patchsets came, enabled in feeds: 3\n" in told
        assert f"{REPOSITORY}: 1 package was fetched, 1 is mirrored\n" in told
        assert f": 3 patchsets and 1 packages of {REPOSITORY}\n" in told
        assert air.here() == {FIRST, SECOND, USERSPACE}
        assert sides.is_whole()

    def test_packages_that_nothing_takes_are_left(self, sides: Sides) -> None:
        air = airgap.World(sides.air.folder, sides.air.more_near)
        told = air.applied(air.create(), "--feed", "main")
        assert f"tuxcare-esu/{REPOSITORY} is left: no plugin takes it here" in told
        assert air.here() == {FIRST, SECOND, USERSPACE}
        assert not (air.far.data_dir / "esu").exists()

    def test_packages_come_where_no_source_is_trusted(self, sides: Sides) -> None:
        bundle = sides.air.create()
        done = sides.apply(bundle)
        assert done.code == 1
        assert "is not trusted yet" in done.said
        assert "No patchsets came\n" in done.out
        assert sides.is_whole()
        assert sides.air.receipt(bundle)

    def test_packages_come_where_the_source_is_refused(self, sides: Sides) -> None:
        bundle = sides.air.create()
        spoil(bundle / "metadata" / "timestamp.json", at=200)
        done = sides.air.apply(bundle, "--feed", "main")
        assert done.code == 1
        assert "is refused" in done.said
        assert sides.is_whole()
        assert sides.air.here() == set()


class TestAlone:
    """Of a portal that has no patch source."""

    def test_there_and_back_and_there_again(self, sides: Sides) -> None:
        first, told = sides.create("first")
        assert told.startswith(f"{first} has 1 packages of {REPOSITORY}, ")
        assert "Apply it before" not in told
        sides.applied(first)
        assert sides.is_whole()
        assert "up to date, 1 package" in sides.applied(first)

        sides.esu.add("world")
        sides.esu.publish()
        sides.esu.update()
        second, told = sides.create("second", "--since", sides.air.receipt(first))
        assert f"has 1 packages of {REPOSITORY}, " in told
        assert rpms(second) == {"world"}
        assert "1 package was fetched, 2 are mirrored" in sides.applied(second)
        assert sides.is_whole()
        third, told = sides.create("third", "--since", sides.air.receipt(second))
        assert f"has 0 packages of {REPOSITORY}, " in told
        assert "up to date, 2 packages" in sides.applied(third)

    def test_a_receipt_of_a_mirror_that_lacks_a_file(self, sides: Sides) -> None:
        first, _ = sides.create("first")
        sides.applied(first)
        (sides.arrived.mirror / HELLO).unlink()
        receipt = sides.air.folder / "receipt"
        told = sides.air.far.ok("bundle", "receipt", receipt, **sides.air.more_far)
        assert f"0 packages of {REPOSITORY}" in told
        second, _ = sides.create("second", "--since", receipt)
        sides.applied(second)
        assert sides.is_whole()

    def test_doctor_of_a_mirror_that_is_fed_by_bundles(self, sides: Sides) -> None:
        sides.applied(sides.create("first")[0])
        found = sides.air.far("doctor", **sides.air.more_far)
        assert f"ok  esu {REPOSITORY}: 1 packages, mirrored " in found.out

    def test_nothing_to_carry(self, sides: Sides) -> None:
        shutil.rmtree(sides.esu.mirror)
        done = sides.air.near("bundle", "create", sides.air.folder / "b", **sides.air.more_near)
        assert done.code != 0
        assert "No patch source is set" in done.said

    def test_a_package_that_is_damaged_here(self, sides: Sides) -> None:
        spoil(sides.esu.mirror / HELLO)
        done = sides.air.near("bundle", "create", sides.air.folder / "b", **sides.air.more_near)
        assert done.code == 1
        assert "hello-1.0-1.noarch.rpm has other bytes than its sha256 says" in done.said
        assert not (sides.air.folder / "b").exists()

    def test_progress_on_a_terminal(self, sides: Sides) -> None:
        air, folder = sides.air, sides.air.folder / "bundle"
        seen = on_terminal(air.near.data_dir, air.more_near, "bundle", "create", folder)
        assert f"Writing 1 packages of {REPOSITORY}" in seen
        seen = on_terminal(air.far.data_dir, air.more_far, "bundle", "apply", folder)
        assert f"Fetching {REPOSITORY}" in seen


def on_terminal(data_dir: Path, environ: Mapping[str, str], *arguments: object) -> str:
    """What a command that must go well writes to its standard error, a terminal."""
    cli = CommandLine(data_dir, {})
    screen, terminal = pty.openpty()
    with subprocess.Popen(
        [cli.program, *map(str, arguments)],
        env={**cli.environ, **environ},
        stdout=subprocess.DEVNULL,
        stderr=terminal,
    ) as process:
        os.close(terminal)
        seen = b""
        # Linux says with an error that the last one at the other end has gone.
        with suppress(OSError):
            while piece := os.read(screen, 1 << 16):
                seen += piece
    os.close(screen)
    assert process.returncode == 0, seen
    return seen.decode()


class TestParts:
    @pytest.fixture
    def parts(self, sides: Sides) -> list[Path]:
        """``hello`` has other bytes than before, which the far portal has."""
        sides.applied(sides.create("first")[0])
        for name in ("one", "two"):
            sides.esu.add(name, size=20_000)
        replaced = sides.esu.made.path("hello", "2.0", 20_000)
        (sides.esu.source / HELLO).write_bytes(replaced.read_bytes())
        sides.esu.publish()
        sides.esu.update()
        folder, _ = sides.create("parts", "--split", 45_000)
        found = sorted(folder.iterdir())
        assert len(found) >= 2
        for part in found:
            files = [path for path in part.rglob("*") if path.is_file()]
            assert sum(path.stat().st_size for path in files) <= 45_000
        assert sorted(name for part in found for name in rpms(part)) == ["hello", "one", "two"]
        return found

    @pytest.mark.parametrize("order", [1, -1])
    def test_one_after_the_other_in_any_order(
        self, order: int, sides: Sides, parts: list[Path]
    ) -> None:
        before = sides.arrived.seen()
        *others, last = parts[::order]
        for part in others:
            told = sides.applied(part)
            assert f"{last.name} is still to come, with " in told
            assert f"{len(rpms(last))} packages of {REPOSITORY}" in told
            assert sides.arrived.seen().items() >= before.items()
        assert "still to come" not in sides.applied(last)
        assert sides.is_whole()

    def test_all_together(self, sides: Sides, parts: list[Path]) -> None:
        assert "3 packages were fetched" in sides.applied(parts[0].parent)
        assert sides.is_whole()

    def test_a_package_that_fits_no_part(self, sides: Sides) -> None:
        sides.esu.add("large", size=50_000)
        sides.esu.publish()
        sides.esu.update()
        folder = sides.air.folder / "refused"
        done = sides.air.near("bundle", "create", "--split", "20K", folder, **sides.air.more_near)
        assert done.code == 2
        assert f"large-1.0-1.noarch.rpm of {REPOSITORY} alone needs a part of" in done.said
        assert not list(sides.air.folder.glob("*refused*"))


def link_out(path: Path) -> None:
    path.rename(path.parents[8] / "outside")
    path.symlink_to(path.parents[8] / "outside")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder_leads_out(path: Path) -> None:
    bundle = path.parents[6]
    (bundle / "carried").rename(bundle.parent / "outside")
    (bundle / "carried").symlink_to(bundle.parent / "outside")


REPOMD = "repodata/repomd.xml"


class TestHostile:
    """Each is refused with a sentence, clients see what they saw, and the patchsets come."""

    def refused(self, sides: Sides, bundle: Path) -> str:
        before = sides.arrived.seen()
        done = sides.air.apply(bundle, "--feed", "main")
        assert done.code == 1
        assert sides.arrived.seen().items() >= before.items()
        assert sides.arrived.seen().get(REPOMD) == before.get(REPOMD)
        assert sides.air.here() >= {FIRST, SECOND, USERSPACE}
        assert done.said.startswith(f"{REPOSITORY}: ")
        return done.said

    @pytest.mark.parametrize(
        ("path", "change", "sentence"),
        [
            (HELLO, spoil, "has other bytes than its sha256 says"),
            (HELLO, lambda path: os.truncate(path, 100), "has 100 bytes, not"),
            (HELLO, lambda path: os.truncate(path, 1 << 40), "is longer than"),
            (HELLO, link_out, "leads out of the patch source by a link"),
            (HELLO, pipe, "is not a file"),
            (HELLO, folder_leads_out, "leads out of the patch source by a link"),
            (REPOMD, spoil, "The signature of repomd.xml is refused"),
            (REPOMD, Path.unlink, "repomd.xml does not exist"),
            (REPOMD, pipe, "is not a file"),
            (REPOMD, lambda path: os.truncate(path, 1 << 40), "is longer than"),
            (
                f"{REPOMD}.asc",
                lambda path: spoil(path, at=200),
                "The signature of repomd.xml is refused",
            ),
            ("repodata/*primary*", spoil, "has other bytes than its sha256 says"),
            ("repodata/*primary*", Path.unlink, "does not exist"),
        ],
    )
    def test_what_was_changed_on_the_way(
        self, path: str, change: Callable[[Path], object], sentence: str, sides: Sides
    ) -> None:
        bundle = sides.air.create()
        whole = shutil.copytree(bundle, sides.air.folder / "whole")
        (found,) = (bundle / FOLDER).glob(path)
        change(found)
        assert sentence in self.refused(sides, bundle)
        sides.air.applied(whole)
        assert sides.is_whole()

    def test_an_older_bundle_after_a_newer_one(self, sides: Sides) -> None:
        older = sides.air.create(name="older")
        sides.esu.add("world")
        sides.esu.publish()
        sides.esu.update()
        sides.air.applied(sides.air.create(name="newer"))
        assert "its revision 1000 is older than" in self.refused(sides, older)

    def test_a_package_that_is_not_there(self, sides: Sides) -> None:
        """As for a portal that had it when it wrote its receipt, and has it no more."""
        bundle = sides.air.create()
        (bundle / FOLDER / HELLO).unlink()
        told = sides.air.applied(bundle)
        assert f"Not found here: 1 packages of {REPOSITORY}" in told
        assert not (sides.arrived.mirror / "repodata").exists()

    def test_a_key_that_is_not_set_here(self, sides: Sides) -> None:
        bundle = sides.air.create()
        environ = {**sides.air.far_environ, "EPORTAL_ESU_GPG_KEY": ""}
        done = sides.air.far("bundle", "apply", bundle, **environ)
        assert done.code == 1
        assert "ESU_GPG_KEY is not set" in done.said
        assert sides.air.here() == {FIRST, SECOND, USERSPACE}


class TestBadMoments:
    def near_settings(self, sides: Sides) -> dict[str, str]:
        return {name.removeprefix("EPORTAL_"): v for name, v in sides.air.more_near.items()}

    def far_settings(self, sides: Sides) -> dict[str, str]:
        return {name.removeprefix("EPORTAL_"): v for name, v in sides.air.more_far.items()}

    @pytest.mark.parametrize(("fate", "stride"), [("die_at", 5), ("full_from", 3)])
    def test_applying_ends_at_any_step(self, fate: str, stride: int, sides: Sides) -> None:
        """Clients see the old or the new, and applying again goes on."""
        sides.applied(sides.create("first")[0])
        old = sides.arrived.seen()
        sides.esu.add("world")
        sides.esu.publish()
        sides.esu.update()
        bundle, _ = sides.create("second")
        far = sides.air.far.data_dir
        fresh = shutil.copytree(far, sides.air.folder / "fresh", symlinks=True)
        step, ends = 1, 0
        with mortals() as run:
            while True:
                shutil.rmtree(far)
                shutil.copytree(fresh, far, symlinks=True)
                outcome = run(
                    far,
                    *("bundle", "apply", bundle),
                    fate=Fate(**{fate: step}),
                    settings=self.far_settings(sides),
                )
                if outcome.returncode == 0:
                    break
                ends += 1
                seen = sides.arrived.seen()
                assert seen.items() >= old.items() or sides.is_whole()
                assert "Traceback" not in outcome.output
                sides.applied(bundle)
                assert sides.is_whole()
                step += stride
        assert ends >= 3

    def test_creating_is_killed(self, sides: Sides) -> None:
        media = sides.air.near.data_dir / "media"
        command = ("bundle", "create", media / "bundle")
        settings = self.near_settings(sides)
        step, ends = 1, 0
        with mortals() as run:
            while True:
                shutil.rmtree(media, ignore_errors=True)
                media.mkdir()
                near = sides.air.near.data_dir
                outcome = run(near, *command, fate=Fate(die_at=step), settings=settings)
                if not outcome.died:
                    break
                ends += 1
                if not (media / "bundle").exists():
                    run.ok(near, *command, settings=settings)
                assert [path.name for path in media.iterdir()] == ["bundle"]
                assert rpms(media / "bundle") == {"hello"}
                step += 17
        assert ends >= 2
        assert outcome.returncode == 0, outcome

    def test_two_creations_at_once(self, sides: Sides) -> None:
        command = ("bundle", "create", sides.air.folder / "twice")
        with mortals() as run:
            outcomes = run.together(
                sides.air.near.data_dir, [command] * 3, settings=self.near_settings(sides)
            )
        assert sum(outcome.returncode == 0 for outcome in outcomes) == 1, outcomes
        sides.applied(sides.air.folder / "twice")
        assert sides.is_whole()

    def test_a_lying_list_of_contents(self, sides: Sides) -> None:
        bundle, _ = sides.create("bundle")
        (bundle / "bundle.json").write_bytes(b"{" * MIB)
        sides.applied(bundle)
        assert sides.is_whole()
