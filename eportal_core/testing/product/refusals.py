"""Bad archives: each is refused with one sentence, and nothing of it is left."""

from __future__ import annotations

from pathlib import Path

from eportal_core.errors import ArchiveError
from eportal_core.patchsets.spec import PatchsetSpec
from eportal_core.testing.hostile import ARCHIVES, Ground
from eportal_core.testing.product.base import NEW, OLD, Checks
from eportal_core.testing.world import World, open_world, plugins_of


class RefusalChecks(Checks):
    def test_bad_archives_are_refused_and_leave_nothing(
        self, world: World, patchsets: list[str], machines: list[str]
    ) -> None:
        ground = _ground(world, patchsets, machines)
        before = world.state()
        for flaw, make in ARCHIVES.items():
            sentence = _refusal(world, make(ground))
            assert sentence, f"an archive was deployed: {flaw}"
            assert sentence.endswith("."), flaw
            assert sentence.isprintable(), flaw
            assert world.state() == before, f"something is left of an archive: {flaw}"
        assert not list(world.folder.rglob("*escaped*"))
        # What is wrong with them is what they are named after, and nothing else.
        assert not _refusal(world, ground.store(*ground.whole()))

    def test_an_archive_of_too_many_files_is_refused(
        self, product: PatchsetSpec, patchsets: list[str], machines: list[str], tmp_path: Path
    ) -> None:
        # It has its folders, the manifest and two files at least.
        settings = {**self.settings, "ARCHIVE_MAX_FILES": 2}
        plugins = plugins_of(self.plugin, self.others)
        with open_world(plugins, product, tmp_path / "few", settings) as world:
            before = world.state()
            assert "ARCHIVE_MAX_FILES" in _refusal(
                world, world.pack(patchsets[0], {machines[0]: OLD})
            )
            assert world.state() == before

    def test_the_command_tells_the_refusal(
        self, world: World, patchsets: list[str], machines: list[str]
    ) -> None:
        archive = ARCHIVES["truncated"](_ground(world, patchsets, machines))
        done = world.kc(world.spec.product.command, "deploy", archive)
        assert done.exit_code != 0
        assert archive.name in str(done.exception)


def _ground(world: World, patchsets: list[str], machines: list[str]) -> Ground:
    (older, newer, _), (target, other, _) = patchsets, machines
    world.deploy(world.pack(older, {other: OLD}))
    return Ground(world.spec, newer, target, NEW, older, (other, OLD), world.folder)


def _refusal(world: World, archive: Path) -> str:
    """The sentence of it; empty when the archive was deployed."""
    try:
        world.deploy(archive)
    except ArchiveError as error:
        return str(error)
    return ""
