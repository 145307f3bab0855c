"""``kill -9`` at every step of every operation: the old state or the new one, never a mixture."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.commands import PROGRAM
from tests.support.mortal import Fate, Mortals
from tests.support.patches import DB, WEB, archive, kernel_id
from tests.support.polling import eventually
from tests.support.serving import Served
from tests.support.states import State, state_of
from tests.support.watching import Watcher

FIRST, SECOND = "K20260101_01", "K20260102_01"
#: Bytes at which a file under way stops growing: in patch files, manifests and the database's log.
TORN = (0, 1, 500, 999, 1500, 5000, 20_000, 45_000)
ROUNDS = 16


@dataclass(frozen=True)
class World:
    """Archives to deploy, and a portal that has the first of them."""

    run: Mortals
    first: Path
    second: Path
    deployed: Path


@pytest.fixture(scope="module")
def world(run: Mortals, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The two archives share a level; each target of the second has another one."""
    folder = tmp_path_factory.mktemp("world")
    first = archive(folder, FIRST, {WEB: 1, DB: 1})
    second = archive(folder, SECOND, {WEB: 2, DB: 1})
    run.ok(folder / "var", "kcare", "deploy", first)
    return World(run, first, second, folder / "var")


@dataclass(frozen=True)
class Operation:
    """prepare: brings the portal to where ``command`` is to be run."""

    command: Callable[[World], list[object]]
    prepare: Callable[[World, Path], object] = lambda world, data_dir: None


def second_deployed(world: World, data_dir: Path) -> None:
    world.run.ok(data_dir, "kcare", "deploy", world.second)


def level_lost(world: World, data_dir: Path) -> None:
    shutil.rmtree(data_dir / "resources" / WEB / "1")


def level_damaged(world: World, data_dir: Path) -> None:
    (data_dir / "resources" / WEB / "1" / "kpatch.info").write_bytes(b"damaged")


def deploy_died(world: World, data_dir: Path) -> None:
    """Killed when all files were in place, and nothing in the database yet."""
    fate = Fate(die_before="sql BEGIN")
    assert world.run(data_dir, "kcare", "deploy", world.second, fate=fate).died


def deletion_died(world: World, data_dir: Path) -> None:
    """Killed when nothing was left in the database, and all files were in place."""
    second_deployed(world, data_dir)
    fate = Fate(die_before="os.remove")
    assert world.run(data_dir, "kcare", "unroll", "--delete", SECOND, fate=fate).died


OPERATIONS = {
    "deploy": Operation(lambda world: ["kcare", "deploy", world.second]),
    "deploy again": Operation(lambda world: ["kcare", "deploy", world.first]),
    "repair": Operation(lambda world: ["kcare", "deploy", world.first], level_lost),
    "mend": Operation(lambda world: ["kcare", "deploy", world.first], level_damaged),
    "unroll": Operation(lambda world: ["kcare", "unroll", SECOND], second_deployed),
    "delete": Operation(lambda world: ["kcare", "unroll", "--delete", SECOND], second_deployed),
    "delete all": Operation(lambda world: ["kcare", "unroll", "--delete", FIRST]),
    "sweep after deploy": Operation(lambda world: ["sweep"], deploy_died),
    "sweep after delete": Operation(lambda world: ["sweep"], deletion_died),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_death_at_any_step_leaves_the_old_or_the_new_state(
    name: str, world: World, tmp_path: Path
) -> None:
    operation = OPERATIONS[name]
    command = operation.command(world)
    before = shutil.copytree(world.deployed, tmp_path / "before")
    operation.prepare(world, before)
    trial = Trial(world.run, before, command, tmp_path / "after")
    steps = 0
    while trial.dies(tmp_path / "killed", Fate(die_at=steps + 1)):
        steps += 1
    assert steps >= 3
    assert trial.ends_seen == {"old", "new"} or trial.old == trial.new


@pytest.mark.parametrize("name", ["deploy", "delete"])
def test_a_death_in_the_middle_of_a_write_leaves_the_old_or_the_new_state(
    name: str, world: World, tmp_path: Path
) -> None:
    before = shutil.copytree(world.deployed, tmp_path / "before")
    OPERATIONS[name].prepare(world, before)
    trial = Trial(world.run, before, OPERATIONS[name].command(world), tmp_path / "after")
    died = [trial.dies(tmp_path / "killed", Fate(die_at_byte=size)) for size in TORN]
    assert any(died)


@dataclass
class Trial:
    """An operation on copies of one portal: what it should do, and what deaths make of it."""

    run: Mortals
    before: Path
    command: list[object]
    after: Path
    old: State = field(init=False)
    new: State = field(init=False)
    ends_seen: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        """``old`` and ``new`` are the states when whatever was left behind is swept away."""
        shutil.copytree(self.before, self.after)
        self.run.ok(self.after, "sweep")
        self.old = state_of(self.after)
        self.run.ok(self.after, *self.command)
        self.run.ok(self.after, "kcare", "verify")
        self.new = state_of(self.after)
        assert staged(self.new) == ["staging/lock"]

    def dies(self, place: Path, fate: Fate) -> bool:
        """Run the operation; look at what its death left at once, after a sweep, after a retry."""
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.before, place)
        outcome = self.run(place, *self.command, fate=fate)
        left = state_of(place)
        expected = [state for state in (self.old, self.new) if left.holds(state)]
        assert expected, f"a mixture: {outcome.output}{left}"
        if not outcome.died:
            assert (outcome.returncode, left) == (0, self.new), outcome.output
            self.ends_seen.add("new")
            return False
        self.run.ok(place, "sweep")
        swept = state_of(place)
        assert swept in expected, outcome.output
        self.run(place, *self.command)
        assert state_of(place) == self.new, outcome.output
        self.ends_seen.add("old" if swept == self.old else "new")
        return True


def staged(state: State) -> list[str]:
    return [name for name in state.files if name.startswith("staging/")]


def test_a_death_at_any_step_of_the_first_start_leaves_a_portal_that_starts(
    run: Mortals, tmp_path: Path
) -> None:
    told = run(tmp_path / "whole", "feed", fate=Fate(told=True)).output.splitlines()
    whole = state_of(tmp_path / "whole")
    kinds = [line.split()[0] for line in told if line.startswith(("sql ", "open ", "os."))]
    assert kinds.count("sql") > 50
    for step in range(1, len(kinds) + 2):
        # Of what the database is told in a row, every fifth stands for all: one transaction.
        if set(kinds[step - 2 : step + 1]) == {"sql"} and step % 5:
            continue
        data_dir = tmp_path / f"killed-{step}"
        died = run(data_dir, "feed", fate=Fate(die_at=step)).died
        assert died == (step <= len(kinds))
        run.ok(data_dir, "feed")
        assert state_of(data_dir) == whole, f"step {step}"


def test_the_disk_has_everything_before_the_database_speaks_of_it(
    world: World, tmp_path: Path
) -> None:
    """For a power cut, which leaves of everything since the last sync any part it likes."""
    data_dir = shutil.copytree(world.deployed, tmp_path / "var")
    told = Fate(told=True)
    deploy = world.run(data_dir, "kcare", "deploy", world.second, fate=told).output.splitlines()
    commit = deploy.index("sql COMMIT")
    journal, *renames = [n for n, line in enumerate(deploy) if line.startswith("os.rename")]
    assert deploy[journal - 1].startswith("sync ")
    assert deploy[journal - 1].endswith("/journal.json.new")
    assert deploy[journal + 2] == f"sync {data_dir / 'staging'}"
    assert "sync file system" in deploy[journal - 4 : journal]
    assert "sync file system" in deploy[renames[-1] : commit]

    command = ("kcare", "unroll", "--delete", SECOND)
    delete = world.run(data_dir, *command, fate=told).output.splitlines()
    commit = delete.index("sql COMMIT")
    assert f"sync {data_dir / 'staging'}" in delete[:commit]
    forgotten = delete.index("os.remove journal.json")
    assert delete[forgotten - 1] == "sync file system"
    assert not [line for line in delete[:commit] if line.startswith(("os.remove", "os.rmdir"))]


def test_agents_get_the_old_or_the_new_level_while_real_commands_are_killed(
    served: Served, run: Mortals, tmp_path: Path
) -> None:
    chance = random.Random(20261122)
    data_dir = served.cli.data_dir
    many = {kernel_id(f"bulk{number}"): 1 for number in range(60)}
    first = archive(tmp_path, FIRST, {WEB: 1, DB: 1}, size=100_000)
    second = archive(tmp_path, SECOND, {WEB: 2, DB: 1, **many}, size=100_000, suffix=".tar.zst")
    deploy = ("kcare", "deploy", str(second))
    delete = ("kcare", "unroll", "--delete", SECOND)
    run.ok(data_dir, "kcare", "deploy", first)
    run.ok(data_dir, "key", "-a", "KEY")
    old = state_of(data_dir)
    seconds = {deploy: seconds_of_work(served, deploy)}
    new = state_of(data_dir)
    seconds[delete] = seconds_of_work(served, delete)

    def patch(name: str, target: str, level: int) -> bytes:
        return (tmp_path / f"{name}-content" / target / str(level) / "kpatch.bin").read_bytes()

    withdrawn = f"/{WEB}/2/kpatch.bin"
    files = {
        f"/{WEB}/1/kpatch.bin": patch(FIRST, WEB, 1),
        f"/{DB}/1/kpatch.bin": patch(FIRST, DB, 1),
        withdrawn: patch(SECOND, WEB, 2),
    }
    kills = []
    with Watcher(served.url, served.register("KEY"), WEB, files, {withdrawn}) as agent:
        for number in range(ROUNDS):
            before, command = ((old, deploy), (new, delete))[number % 2]
            if knows_second(data_dir) != (before is new):
                run.ok(data_dir, *(deploy if before is new else delete))
            kills.append(killed_at_work(served, command, chance.uniform(0, seconds[command])))
            after = new if knows_second(data_dir) else old
            assert state_of(data_dir).published() >= after.published()
            run.ok(data_dir, "kcare", "verify")
            agent.wait_for("2" if after is new else "1")
        run.ok(data_dir, "sweep")
        assert state_of(data_dir).files == after.files
    assert agent.complaints == []
    assert set(agent.levels) == {"1", "2"}
    assert agent.answers[withdrawn, 404]
    assert any(kills[::2])
    assert any(kills[1::2])


def knows_second(data_dir: Path) -> bool:
    return state_of(data_dir).knows(f"kernel/{SECOND}")


def at_work(served: Served, command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a real command; it has the lock and a workspace now, or has ended already."""
    staging = served.cli.data_dir / "staging"
    before = set(staging.iterdir())
    process = subprocess.Popen(
        [PROGRAM, *command],
        env=served.cli.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    eventually(lambda: process.poll() is not None or set(staging.iterdir()) - before)
    return process


def seconds_of_work(served: Served, command: Sequence[str]) -> float:
    process = at_work(served, command)
    started = time.monotonic()
    assert process.wait() == 0
    return time.monotonic() - started


def killed_at_work(served: Served, command: Sequence[str], seconds: float) -> bool:
    """Run a real command and kill it after so many seconds of work; whether that was in time."""
    process = at_work(served, command)
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.kill()
    return process.wait() == -signal.SIGKILL
