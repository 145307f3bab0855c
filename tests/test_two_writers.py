"""Commands and servers that work on one portal at the same moment."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest
import requests

from tests.support.commands import PROGRAM, CommandLine
from tests.support.mortal import Mortals, Outcome
from tests.support.patches import DB, WEB, archive
from tests.support.polling import eventually
from tests.support.serving import serving
from tests.support.states import state_of

FIRST, SECOND = "K20260101_01", "K20260102_01"
WRITERS = 8


def codes(outcomes: list[Outcome]) -> list[int]:
    """Exit codes; whoever failed said why in one sentence."""
    for outcome in outcomes:
        assert "Traceback" not in outcome.output
        assert outcome.returncode == 0 or "kc.eportal: error: " in outcome.output, outcome
    return [outcome.returncode for outcome in outcomes]


def is_consistent(run: Mortals, data_dir: Path) -> bool:
    """Everything published is as its manifest says, and nothing was left behind."""
    staging = [name for name in state_of(data_dir).files if name.startswith("staging/")]
    return run(data_dir, "kcare", "verify").returncode == 0 and staging == ["staging/lock"]


@pytest.mark.parametrize("attempt", range(3))
def test_commands_that_meet_a_fresh_data_directory(
    attempt: int, run: Mortals, tmp_path: Path, data_dir: Path
) -> None:
    first = archive(tmp_path, FIRST, {WEB: 1})
    commands: list[list[object]] = [
        ["feed"],
        ["feed", "-a", "test"],
        ["key", "-a", "KEY"],
        ["kcare", "list"],
        ["kcare", "deploy", first],
        ["migrate"],
        ["migrate"],
        ["server"],
    ]
    outcomes = run.together(data_dir, commands)
    assert codes(outcomes) == [0] * len(commands), outcomes
    assert is_consistent(run, data_dir)
    assert [row["name"] for row in CommandLine(data_dir, {}).json("feed")] == ["main", "test"]
    left = {path.name for path in data_dir.iterdir() if "sqlite" not in path.name}
    assert left == {"arch", "instance-id", "resources", "staging"}


def test_deploys_of_the_same_archive(run: Mortals, tmp_path: Path, data_dir: Path) -> None:
    first = archive(tmp_path, FIRST, {WEB: 1})
    run.ok(data_dir, "feed")
    outcomes = run.together(data_dir, [["kcare", "deploy", first]] * 4)
    assert codes(outcomes) == [0] * 4
    said = Counter(outcome.output.partition(" - INFO - ")[2] for outcome in outcomes)
    assert said == {
        f"{FIRST} was enabled in main\n": 1,
        f"{FIRST} is already enabled in main\n": 3,
    }
    assert is_consistent(run, data_dir)


def test_deploys_of_different_archives_that_share_a_level(
    run: Mortals, tmp_path: Path, data_dir: Path
) -> None:
    names = [f"K2026010{number}_01" for number in range(1, 7)]
    archives = [
        archive(tmp_path, name, {WEB: number, DB: 1}) for number, name in enumerate(names, 1)
    ]
    run.ok(data_dir, "feed")
    outcomes = run.together(data_dir, [["kcare", "deploy", path] for path in archives])
    assert codes(outcomes) == [0] * len(names)
    rows = CommandLine(data_dir, {}).json("kcare", "list")
    assert [row["patchset"] for row in rows] == names
    assert is_consistent(run, data_dir)
    outcomes = run.together(data_dir, [["kcare", "unroll", "--delete", name] for name in names[1:]])
    assert codes(outcomes) == [0] * len(names[1:])
    assert is_consistent(run, data_dir)
    assert (data_dir / "resources" / DB / "1" / "kpatch.bin").exists()


@pytest.mark.parametrize("attempt", range(3))
def test_a_deploy_and_a_deletion_of_the_same_patchset(
    attempt: int, run: Mortals, tmp_path: Path, data_dir: Path
) -> None:
    first = archive(tmp_path, FIRST, {WEB: 1})
    run.ok(data_dir, "kcare", "deploy", first)
    deployed = state_of(data_dir)
    commands: list[list[object]] = [
        ["kcare", "deploy", first],
        ["kcare", "unroll", "--delete", FIRST],
    ]
    assert codes(run.together(data_dir, commands)) == [0, 0]
    left = state_of(data_dir)
    if left.knows(f"kernel/{FIRST}"):
        assert left.files == deployed.files
    else:
        assert left.published() == {("instance-id", deployed.files["instance-id"])}
    assert is_consistent(run, data_dir)


def test_many_writers_of_one_state(run: Mortals, tmp_path: Path, data_dir: Path) -> None:
    first, second = archive(tmp_path, FIRST, {WEB: 1}), archive(tmp_path, SECOND, {WEB: 2})
    run.ok(data_dir, "kcare", "deploy", first, second)
    changes = [["kcare", word, SECOND] for word in ("enable", "disable")] * (WRITERS // 2)
    outcomes = run.together(data_dir, changes)
    assert codes(outcomes) == [0] * WRITERS
    # Each change that was told was made, and none was made that was not told.
    said = [o.output.partition(" - INFO - ")[2].strip() for o in outcomes]
    made = [text for text in said if f"{SECOND} was " in text]
    recorded = [row for row in state_of(data_dir).rows[-1] if row[1] == f"main/kernel/{SECOND}"]
    assert len(recorded) == 1 + len(made)


@pytest.mark.parametrize("attempt", range(3))
def test_a_patchset_is_deleted_while_others_enable_it(
    attempt: int, run: Mortals, tmp_path: Path, data_dir: Path
) -> None:
    run.ok(data_dir, "kcare", "deploy", archive(tmp_path, FIRST, {WEB: 1}))
    commands = [["kcare", "unroll", "--delete", FIRST]] + [
        ["kcare", word, FIRST] for word in ("enable", "disable", "enable-up-to", "undeploy-down-to")
    ] * 2
    outcomes = run.together(data_dir, commands)
    assert codes(outcomes)[0] == 0
    for outcome in outcomes[1:]:
        gone = f"There is no KernelCare patchset {FIRST}."
        assert outcome.returncode == 0 or gone in outcome.output
    assert not state_of(data_dir).knows(f"kernel/{FIRST}")
    assert is_consistent(run, data_dir)


def test_the_same_name_is_taken_once(run: Mortals, data_dir: Path) -> None:
    run.ok(data_dir, "feed")
    for command in (["feed", "-a", "test"], ["key", "-a", "KEY"]):
        outcomes = run.together(data_dir, [command] * WRITERS)
        assert sorted(codes(outcomes)) == [0] + [1] * (WRITERS - 1)


def test_cleaning_twice_at_once(run: Mortals, tmp_path: Path, data_dir: Path) -> None:
    first, second = archive(tmp_path, FIRST, {WEB: 1}), archive(tmp_path, SECOND, {WEB: 2})
    run.ok(data_dir, "kcare", "deploy", first, second)
    outcomes = run.together(data_dir, [["--clean-releases"]] * 4)
    assert codes(outcomes) == [0] * 4, outcomes
    assert not state_of(data_dir).knows(f"kernel/{FIRST}")
    assert is_consistent(run, data_dir)


def test_a_deploy_while_the_portal_starts(run: Mortals, tmp_path: Path, data_dir: Path) -> None:
    """Both meet a fresh data directory, and the sweep at start takes nothing from the deploy."""
    first = archive(tmp_path, FIRST, {WEB: 1}, size=200_000, suffix=".tar.gz")
    cli = CommandLine(data_dir, {})
    command = [PROGRAM, "kcare", "deploy", str(first)]
    with (
        subprocess.Popen(command, env=cli.environ, stdout=subprocess.DEVNULL) as deploy,
        serving(data_dir) as portal,
    ):
        assert deploy.wait(60) == 0
        latest = f"{portal.url}/{WEB}/latest.v1"
        assert eventually(lambda: requests.get(latest, timeout=10).text == "1")
    assert is_consistent(run, data_dir)
