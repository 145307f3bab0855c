"""From an archive to the agent and back: pack, deploy, enable, unroll, delete."""

from __future__ import annotations

import shutil
import tarfile

from eportal_core.operations import feeds, patchsets
from eportal_core.patchsets.archive import LATEST
from eportal_core.testing.agents import View
from eportal_core.testing.content import layout, write
from eportal_core.testing.product.base import NEW, OLD, Checks, seen
from eportal_core.testing.world import World


class PublishingChecks(Checks):
    def test_a_patchset_from_pack_to_its_end(
        self, world: World, patchsets: list[str], machines: list[str]
    ) -> None:
        name, (one, other, _) = patchsets[0], machines
        feeds.add(world.portal, "test")
        archive = world.pack(name, {one: OLD, other: NEW})
        before = world.files()

        with world.agents() as agents:
            main, test = (agents.register(world.key(feed)) for feed in ("main", "test"))

            def views(server: str) -> list[View]:
                return agents.views(server, machines, [OLD, NEW])

            everything = [seen(world, OLD), seen(world, NEW), View()]
            assert views(main) == [View()] * 3
            world.deploy(archive)
            assert views(main) == everything
            assert views(test) == [View()] * 3
            enable(world, name, "test")
            assert views(test) == everything
            unroll(world, name)
            assert views(main) == views(test) == [View()] * 3
            # Taken back, and not deleted: it is here still, and whole.
            assert world.verify().exit_code == 0, world.verify().output
            enable(world, name, "test")
            assert views(test) == everything
            assert views(main) == [View()] * 3
            world.deploy(archive)
            assert views(main) == everything
            unroll(world, name, delete=True)
            assert views(main) == [View()] * 3
            assert not world.differs_from(before)

    def test_pack_makes_equal_archives_of_equal_folders(
        self, world: World, patchsets: list[str], machines: list[str]
    ) -> None:
        levels = {machines[0]: OLD, machines[1]: NEW}
        first = world.pack(patchsets[0], levels).read_bytes()
        shutil.move(world.folder / f"{patchsets[0]}.tar.bz2", world.folder / "first")
        shutil.rmtree(world.folder / f"{patchsets[0]}-content")
        assert world.pack(patchsets[0], levels).read_bytes() == first

    def test_an_archive_without_a_manifest_is_taken(
        self, world: World, patchsets: list[str], machines: list[str]
    ) -> None:
        (target, *_), name = machines, patchsets[0]
        content = write(world.folder / "content", layout(world.spec, {target: OLD}))
        (content / target / LATEST).symlink_to(str(OLD))
        archive = world.folder / f"{name}.tar.bz2"
        with tarfile.open(archive, "w:bz2") as tar:
            tar.add(content, ".")
        world.deploy(archive)
        with world.agents() as agents:
            server = agents.register(world.key())
            assert agents.views(server, [target], [OLD]) == [seen(world, OLD)]

    def test_deploying_again_changes_nothing(
        self, world: World, patchsets: list[str], machines: list[str]
    ) -> None:
        archive = world.pack(patchsets[0], {machines[0]: OLD})
        world.deploy(archive)
        before = world.state()
        world.deploy(archive)
        assert world.state() == before

    def test_a_level_of_two_patchsets_stays_until_both_are_gone(
        self, world: World, patchsets: list[str], machines: list[str]
    ) -> None:
        (older, newer, _), (target, *_) = patchsets, machines
        before = world.files()
        for name in (older, newer):
            world.deploy(world.pack(name, {target: OLD}))
        with world.agents() as agents:
            server = agents.register(world.key())
            unroll(world, older, delete=True)
            assert agents.views(server, [target], [OLD]) == [seen(world, OLD)]
            unroll(world, newer, delete=True)
            assert agents.views(server, [target], [OLD]) == [View()]
        assert not world.differs_from(before)


def enable(world: World, name: str, feed: str) -> None:
    patchsets.enable(world.portal, world.spec.product, name, feed)


def unroll(world: World, name: str, *, delete: bool = False) -> None:
    patchsets.unroll(world.portal, world.spec.product, name, delete=delete)
