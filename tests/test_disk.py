"""Disks that are full, read-only or not ours: one sentence, and everything as it was."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import requests

from tests.support.agents import basic, encoded
from tests.support.disks import (
    MIB,
    Disk,
    LimitedDisk,
    MountedDisk,
    mountable,
    mounted,
    not_ours,
    read_only,
)
from tests.support.mortal import Fate, Mortals, Outcome
from tests.support.patches import DB, WEB, archive
from tests.support.polling import eventually
from tests.support.processes import children
from tests.support.serving import Served, serving
from tests.support.states import state_of

FIRST, SECOND = "K20260101_01", "K20260102_01"
#: Bytes of a patch: a deploy takes a few times as much, and the database's log not much less.
SIZE = 100_000
#: Bytes that are left on the disk, at first and then more and more.
STEP = 24_000
SENTENCE = re.compile(r"kc\.eportal: error: [A-Z][^\n]*\.\n")

#: What the system, SQLite and we say of it.
NO_ROOM = re.compile(
    "No space left on device|File too large|disk is full|disk I/O error|more bytes"
)

#: A real full disk needs a mount; where we may not have one, a limit on files has to do.
KINDS = ["limited", *(["mounted"] if mountable() else [])]


@pytest.fixture(params=KINDS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    if request.param == "limited":
        yield LimitedDisk(path)
    else:
        with mounted(path, 3 * MIB):
            yield MountedDisk(path)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive(tmp_path_factory.mktemp("first"), FIRST, {WEB: 1, DB: 1}, SIZE)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive(tmp_path_factory.mktemp("second"), SECOND, {WEB: 2, DB: 1}, SIZE)


def said(outcome: Outcome) -> str:
    """The one sentence of a command that failed."""
    assert outcome.returncode == 1, outcome
    assert SENTENCE.fullmatch(outcome.output), outcome
    return outcome.output


class TestFull:
    @pytest.mark.parametrize("operation", ["deploy", "delete"])
    def test_a_disk_that_fills_up_in_the_middle(
        self, operation: str, disk: Disk, run: Mortals, first: Path, second: Path
    ) -> None:
        """With more and more room, it gets further and further, until there is enough."""
        command: list[object] = ["kcare", "deploy", second]
        run.ok(disk.path, "kcare", "deploy", first)
        if operation == "delete":
            run.ok(disk.path, *command)
            command = ["kcare", "unroll", "--delete", SECOND]
        before = state_of(disk.path)
        sentences = set()
        for left in range(0, 40 * STEP, STEP):
            outcome = run(disk.path, *command, fate=disk.fill(left))
            disk.free()
            if outcome.returncode == 0:
                break
            sentences.add(said(outcome))
            assert state_of(disk.path) == before, f"{left} bytes left: {outcome}"
        assert outcome.returncode == 0
        assert sentences
        assert all(map(NO_ROOM.search, sentences)), sentences
        assert state_of(disk.path).knows(f"kernel/{SECOND}") == (operation == "deploy")
        run.ok(disk.path, "kcare", "verify")

    @pytest.mark.parametrize("operation", ["deploy", "delete"])
    def test_every_step_may_be_the_one_for_which_there_is_no_room(
        self, operation: str, run: Mortals, first: Path, second: Path, tmp_path: Path
    ) -> None:
        data_dir = tmp_path / "var"
        command: list[object] = ["kcare", "deploy", second]
        run.ok(data_dir, "kcare", "deploy", first)
        if operation == "delete":
            run.ok(data_dir, *command)
            command = ["kcare", "unroll", "--delete", SECOND]
        before = state_of(data_dir)
        for step in range(1, 100):
            outcome = run(data_dir, *command, fate=Fate(full_from=step))
            if outcome.returncode == 0:
                break
            assert "No space left on device" in said(outcome)
            assert state_of(data_dir) == before, outcome
        assert step >= 5
        assert state_of(data_dir) != before

    def test_agents_are_answered_and_their_newest_facts_stored_afterwards(
        self, disk: Disk, run: Mortals, first: Path
    ) -> None:
        run.ok(disk.path, "kcare", "deploy", first)
        run.ok(disk.path, "key", "-a", "KEY")
        with serving(disk.path, CHECKIN_FLUSH_PERIOD="0.05") as portal:
            server = portal.register("KEY")
            pids = tuple(children(portal.process.pid).values())
            check_in(portal, server, "before")
            eventually(lambda: hostname(run, disk.path) == "before")

            disk.fill(pids=pids)
            check_in(portal, server, "during")
            assert "cannot be used" in eventually(lambda: unready(portal))
            check_in(portal, server, "newest")
            answer = requests.get(
                f"{portal.url}/{WEB}/1/kpatch.bin", headers=basic(server), timeout=10
            )
            assert (answer.status_code, len(answer.content)) == (200, SIZE)
            refusal = requests.post(
                f"{portal.url}/admin/api/register", data={"key": "KEY", "hostname": "x"}, timeout=10
            )
            assert (refusal.status_code, refusal.json()["error"]) == (503, "database")

            disk.free(pids=pids)
            eventually(lambda: hostname(run, disk.path) == "newest")
            eventually(lambda: not unready(portal))
            portal.register("KEY")

    def test_a_portal_does_not_start_without_room_for_the_database(
        self, disk: Disk, run: Mortals
    ) -> None:
        run.ok(disk.path, "feed")
        before = state_of(disk.path)
        fate = disk.fill()
        for command in (["serve"], ["feed", "-a", "test"]):
            said(run(disk.path, *command, fate=fate))
        disk.free()
        assert state_of(disk.path) == before


def check_in(portal: Served, server: str, name: str) -> None:
    facts = encoded({"hostname": name})
    answer = requests.get(
        f"{portal.url}/{WEB}/latest.v1?info={facts}", headers=basic(server), timeout=10
    )
    assert (answer.status_code, answer.text) == (200, "1")


def hostname(run: Mortals, data_dir: Path) -> str:
    return run.ok(data_dir, "server", "--json").partition('"hostname":')[2].split('"')[1]


def unready(portal: Served) -> str:
    """What keeps the portal from serving, empty when it is well."""
    answer = requests.get(f"{portal.url}/readyz", timeout=10)
    return "" if answer.ok else answer.text


class TestNotWritable:
    @pytest.fixture(params=["not ours", *(["read-only"] if mountable() else [])])
    def kind(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
        """A data directory at ``disk`` that can be made unwritable in this way."""
        name: str = request.param
        with mounted(tmp_path / "disk", 3 * MIB) if name == "read-only" else nullcontext():
            yield name

    def test_commands_say_so_and_work_again_later(
        self, kind: str, run: Mortals, tmp_path: Path, first: Path, second: Path
    ) -> None:
        data_dir = tmp_path / "disk"
        run.ok(data_dir, "kcare", "deploy", first)
        before = state_of(data_dir)
        commands: list[list[object]] = [
            ["kcare", "deploy", second],
            ["kcare", "unroll", FIRST],
            ["kcare", "unroll", "--delete", FIRST],
            ["feed", "-a", "test"],
            ["serve"],
        ]
        unwritable = read_only if kind == "read-only" else not_ours
        with unwritable(data_dir):
            for command in commands:
                said(run(data_dir, *command, fate=Fate(powerless=True)))
        assert state_of(data_dir) == before
        for command in commands[:-1]:
            run(data_dir, *command)
        assert state_of(data_dir).knows(f"kernel/{SECOND}")

    def test_a_fresh_data_directory_cannot_be_made(
        self, kind: str, run: Mortals, tmp_path: Path
    ) -> None:
        place = tmp_path / "disk"
        place.mkdir(exist_ok=True)
        with (read_only if kind == "read-only" else not_ours)(place):
            outcome = run(place / "var", "feed", fate=Fate(powerless=True))
        assert f"The disk refused at {place / 'var'}: " in said(outcome)


class TestAnotherFileSystem:
    """``PATCHES_DIR`` may be elsewhere than the database."""

    @pytest.fixture
    def disk(self, tmp_path: Path) -> Iterator[Disk]:
        path = tmp_path / "patches"
        if mountable():
            with mounted(path, 3 * MIB):
                yield MountedDisk(path)
        else:
            yield LimitedDisk(path)

    @pytest.fixture
    def settings(self, disk: Disk) -> dict[str, str]:
        return {"PATCHES_DIR": str(disk.path)}

    def test_patches_are_published_and_deleted_there(
        self, run: Mortals, data_dir: Path, disk: Disk, settings: dict[str, str], first: Path
    ) -> None:
        run.ok(data_dir, "kcare", "deploy", first, settings=settings)
        assert (disk.path / "resources" / WEB / "1" / "kpatch.bin").is_file()
        run.ok(data_dir, "kcare", "verify", settings=settings)
        run.ok(data_dir, "kcare", "unroll", "--delete", FIRST, settings=settings)
        assert {path.name for path in disk.path.iterdir()} == {"arch", "staging"}
        beside = {path.name for path in data_dir.iterdir() if "sqlite" not in path.name}
        assert beside == {"instance-id"}

    def test_it_may_be_full_while_the_database_has_room(
        self, run: Mortals, data_dir: Path, disk: Disk, settings: dict[str, str], first: Path
    ) -> None:
        run.ok(data_dir, "feed", settings=settings)
        command = ("kcare", "deploy", first)
        said(run(data_dir, *command, settings=settings, fate=disk.fill(SIZE // 2)))
        disk.free()
        assert {path.name for path in disk.path.iterdir()} == {"arch", "staging"}
        run.ok(data_dir, *command, settings=settings)
        run.ok(data_dir, "kcare", "verify", settings=settings)
