"""The product's part of ``kc.eportal``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from eportal_core.patchsets.store import PatchsetStore
from eportal_core.testing.content import files
from eportal_core.testing.product.base import OLD, Checks, seen
from eportal_core.testing.world import World

SUBCOMMANDS = (
    "auto-update",
    "deploy",
    "disable",
    "download-missing",
    "enable",
    "enable-up-to",
    "list",
    "pack",
    "undeploy-down-to",
    "unroll",
    "update",
    "verify",
)


class CommandChecks(Checks):
    def test_help_shows_the_product_and_its_subcommands(self, world: World) -> None:
        command = world.spec.product.command
        assert command in world.kc("--help").output.split()
        shown = world.kc(command, "--help")
        assert shown.exit_code == 0
        assert set(SUBCOMMANDS) <= set(shown.output.split())
        for name in SUBCOMMANDS:
            assert world.kc(command, name, "--help").exit_code == 0

    def test_pack_deploy_list_and_unroll(
        self, world: World, patchsets: list[str], machines: list[str]
    ) -> None:
        command, name = world.spec.product.command, patchsets[0]
        by_hand = world.pack(name, {machines[0]: OLD})
        archive = world.folder / "cli" / by_hand.name
        archive.parent.mkdir()
        content = world.folder / f"{name}-content"
        for arguments in (
            ("pack", content, "-o", archive),
            ("deploy", archive),
            ("list", "--json"),
            ("unroll", name, "--delete"),
        ):
            done = world.kc(command, *arguments)
            assert done.exit_code == 0, done.output
            assert (name in done.output) == (arguments[0] in ("pack", "list"))
        assert archive.read_bytes() == by_hand.read_bytes()

    def test_verify_finds_what_is_changed_or_lost_and_deploying_again_mends_it(
        self, world: World, patchsets: list[str], machines: list[str]
    ) -> None:
        target = machines[0]
        archive = world.pack(patchsets[0], {target: OLD})
        world.deploy(archive)
        assert world.verify().exit_code == 0
        with world.agents() as agents:
            server = agents.register(world.key())
            for published in (*_published(world, target), _stored(world, archive)):
                _change_a_byte(published)
                done = world.verify()
                assert done.exit_code == 1
                assert str(published) in done.output
                world.deploy(archive)
                assert world.verify().exit_code == 0
                published.unlink()
                done = world.verify()
                assert done.exit_code == 1
                assert published.name in done.output
                world.deploy(archive)
                assert world.verify().exit_code == 0
                assert agents.views(server, [target], [OLD]) == [seen(world, OLD)]


def _published(world: World, target: str) -> Iterator[Path]:
    store = PatchsetStore(world.spec, world.portal.storage)
    for name in files(world.spec, target, OLD):
        path = store.file(target, OLD, name)
        assert path is not None
        yield path
    if world.spec.userspace:
        yield store.bundle(target, OLD)


def _stored(world: World, archive: Path) -> Path:
    """The portal's own copy of a deployed archive."""
    return world.portal.storage.archives / archive.name


def _change_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
