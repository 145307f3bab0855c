"""``kill -9`` while a publisher is at work: readers see the old source or the new one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from eportal_core.source.repository import load
from tests.support.mortal import Fate, Mortals
from tests.support.sources import SPECS, TARGET, MadeSource, archive, make_source, seen

FIRST, SECOND, USER = "K20260101_01", "K20260102_01", "U20260101_01"


@dataclass(frozen=True)
class World:
    """A portal's folder with a source of one published patchset in it, and archives to add."""

    run: Mortals
    data_dir: Path
    archives: list[Path]

    def source(self, data_dir: Path) -> MadeSource:
        return MadeSource(data_dir / "source")


@pytest.fixture(scope="module")
def world(run: Mortals, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    run.ok(folder / "var", "feed")
    source = make_source(folder / "var" / "source", ["kernel", "libcare"])
    source.offer("kernel", FIRST, {TARGET: 1})
    shutil.rmtree(source.folder.with_name("source.work"))
    archives = [
        archive(folder, "kernel", SECOND, {TARGET: 1, "a" * 40: 2}),
        archive(folder, "libcare", USER, {TARGET: 3}),
    ]
    return World(run, folder / "var", archives)


@dataclass(frozen=True)
class Operation:
    """prepare: brings the source to where the command is to be run. seen: what readers may see.

    stride: it dies at every so-manieth step; with 1 all of them were tried once.
    """

    command: Callable[[World], list[object]]
    seen: tuple[set[str], ...]
    prepare: Callable[[World, MadeSource], object] = lambda world, source: None
    publish_first: bool = False
    stride: int = 1


def _added(world: World, source: MadeSource) -> None:
    source.add(*world.archives, publish=False)


def _withdrawn(world: World, source: MadeSource) -> None:
    source.add(*world.archives)
    source.remove(FIRST, SECOND)


def _key_lost(world: World, source: MadeSource) -> None:
    next(source.keys.glob("kernel-*.pem")).unlink()


OLD, NEW = {FIRST}, {FIRST, SECOND, USER}
OPERATIONS = {
    "add": Operation(lambda world: ["add", *world.archives], (OLD,), stride=5),
    "publish": Operation(lambda world: ["publish"], (OLD, NEW), _added),
    "remove what was published": Operation(lambda world: ["remove", FIRST], (OLD,)),
    "remove what was not": Operation(lambda world: ["remove", SECOND, USER], (OLD,), _added),
    "prune": Operation(lambda world: ["prune", "--days", "0"], ({USER},), _withdrawn),
    "block": Operation(lambda world: ["block", FIRST], (OLD,)),
    **{
        f"rotate {role}": Operation(
            lambda world, role=role: ["rotate-key", role], (OLD,), publish_first=True, stride=2
        )
        for role in ("root", "targets", "snapshot", "timestamp", "kernel")
    },
    "rotate a lost key": Operation(lambda world: ["rotate-key", "kernel"], (OLD,), _key_lost, True),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_killed_on_the_way(world: World, tmp_path: Path, name: str) -> None:
    operation = OPERATIONS[name]
    prepared = tmp_path / "prepared"
    shutil.copytree(world.data_dir, prepared)
    operation.prepare(world, world.source(prepared))
    cache = tmp_path / "cache"
    seen(world.source(prepared), cache)
    verb, *rest = operation.command(world)
    deaths = 0
    for step in range(1, 200, operation.stride):
        data_dir = tmp_path / f"step{step}"
        shutil.copytree(prepared, data_dir)
        source = world.source(data_dir)
        command = ("source", verb, source.folder, *rest)
        outcome = world.run(data_dir, *command, fate=Fate(die_at=step))
        for reader in (cache, tmp_path / f"reader{step}"):
            copy = tmp_path / f"cache{step}"
            if reader.exists():
                shutil.copytree(reader, copy)
            found = seen(source, copy)
            names = {offer.name for offers in found.values() for offer in offers}
            assert names in operation.seen, f"{name} died at {step}: {outcome.output}"
            shutil.rmtree(copy)
        if not outcome.died:
            assert outcome.returncode == 0, outcome.output
            break
        deaths += 1
        _goes_on(world, data_dir, command, operation)
        shutil.rmtree(data_dir)
    assert deaths >= 2
    assert not outcome.died


def _goes_on(
    world: World, data_dir: Path, command: tuple[object, ...], operation: Operation
) -> None:
    """After a death the command can be given again; nothing unfinished stays."""
    source = world.source(data_dir)
    if operation.publish_first:
        world.run.ok(data_dir, "source", "publish", source.folder)
    outcome = world.run(data_dir, *command)
    if outcome.returncode:
        assert "does not list" in outcome.output, outcome.output
    world.run.ok(data_dir, "source", "publish", source.folder)
    assert load(source.folder).waiting() == []
    assert not (source.folder / "staging").exists()
    listed = {
        path.name
        for product in ("kernel", "libcare")
        for path in (source.folder / "targets" / product).glob("*.tar.bz2")
    }
    seen(source, source.folder.with_name("reader"))
    repository = load(source.folder)
    named = {
        f"{target.hashes['sha256']}.{path.partition('/')[2]}"
        for product in repository.products
        for path, target in repository.lists[product].signed.targets.items()
        if path.endswith(".tar.bz2")
    }
    assert named <= listed
    # What readers have known stays.
    assert {name.partition(".")[2] for name in listed - named} <= {f"{FIRST}.tar.bz2"}, command


def test_init_dies(run: Mortals, tmp_path: Path) -> None:
    run.ok(tmp_path / "var", "feed")
    for step in range(1, 200, 3):
        data_dir = tmp_path / f"step{step}"
        shutil.copytree(tmp_path / "var", data_dir)
        source = MadeSource(data_dir / "source")
        outcome = run(data_dir, "source", "init", source.folder, fate=Fate(die_at=step))
        again = run(data_dir, "source", "init", source.folder)
        if again.returncode:
            assert "is a source already" in again.output
        run.ok(data_dir, "source", "publish", source.folder)
        assert len(list(source.keys.iterdir())) == 1 + 4 + len(SPECS)
        assert seen(source, tmp_path / f"cache{step}").keys() >= {"kernel"}
        if not outcome.died:
            break
    assert not outcome.died
    assert step > 10


def test_two_publishers_at_once(world: World, tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    shutil.copytree(world.data_dir, data_dir)
    folder = world.source(data_dir).folder
    commands = [
        *(("source", "add", folder, path) for path in world.archives),
        *(("source", "publish", folder) for _ in range(3)),
        ("source", "block", folder, FIRST),
    ]
    outcomes = world.run.together(data_dir, commands)
    assert [outcome.returncode for outcome in outcomes] == [0] * len(commands)
    world.run.ok(data_dir, "source", "publish", folder)
    found = seen(world.source(data_dir), tmp_path / "cache")
    states = {offer.name: offer.state for offers in found.values() for offer in offers}
    assert states == {FIRST: "blocked", SECOND: "available", USER: "available"}


@pytest.mark.parametrize("verb", ["add", "publish"])
def test_a_full_disk_changes_nothing(world: World, tmp_path: Path, verb: str) -> None:
    data_dir = tmp_path / "var"
    shutil.copytree(world.data_dir, data_dir)
    source = world.source(data_dir)
    if verb == "publish":
        _added(world, source)
    folder, before = source.folder, _files(source.folder)
    arguments = world.archives if verb == "add" else []
    for step in range(1, 100):
        fate = Fate(full_from=step)
        outcome = world.run(data_dir, "source", verb, folder, *arguments, fate=fate)
        if outcome.returncode == 0:
            break
        assert "error: The disk refused" in outcome.output
        # What is left is of a product whose list was signed before the disk was full.
        waiting = load(folder).waiting()
        left = {name for name, _ in _files(folder) - before if name.startswith("targets/")}
        assert {name.split("/")[1] for name in left} <= set(waiting)
        found = seen(source, tmp_path / f"cache{step}")
        assert {offer.name for offers in found.values() for offer in offers} == OLD
    assert step > 3
    assert outcome.returncode == 0


def _files(folder: Path) -> set[tuple[str, bytes]]:
    return {
        (str(path.relative_to(folder)), path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }
