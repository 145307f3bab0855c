"""``kill -9`` at every step of an update: what agents see is always something that was meant."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.mortal import Fate, Mortals
from tests.support.patches import DB, WEB
from tests.support.publishing import Publisher
from tests.support.states import State, state_of

FIRST, SECOND = "K20260101_01", "K20260102_01"


def test_a_death_at_any_step_of_an_update_is_made_up_for_by_the_next(
    run: Mortals, tmp_path: Path
) -> None:
    publisher = Publisher.start(tmp_path / "publisher")
    publisher.list(publisher.pack(FIRST, {WEB: 1, DB: 1}), publisher.pack(SECOND, {WEB: 2}))
    settings = {**publisher.settings, "DOWNLOADS_AT_ONCE": "1"}
    before, after, killed = (tmp_path / name for name in ("before", "after", "killed"))
    run.ok(before, "feed")
    shutil.copytree(before, after)
    told = run(after, "kcare", "update", fate=Fate(told=True), settings=settings).output
    whole = state_of(after)
    seen = set()
    # With a stride of 1 all of them were tried once.
    for step in range(first_own_step(told), 400, 3):
        shutil.rmtree(killed, ignore_errors=True)
        shutil.copytree(before, killed)
        outcome = run(killed, "kcare", "update", fate=Fate(die_at=step), settings=settings)
        left = state_of(killed)
        assert enabled_and_whole(left, whole), outcome.output
        seen.add((len(left.rows[1]), len(left.rows[3])))
        if not outcome.died:
            assert outcome.returncode == 0, outcome.output
            break
        run.ok(killed, "kcare", "update", settings=settings)
        run.ok(killed, "sweep")
        assert own(state_of(killed)) == own(whole), outcome.output
    # Nothing, one of them, both, and both enabled.
    assert seen == {(0, 0), (1, 0), (2, 0), (2, 2)}


def first_own_step(told: str) -> int:
    """The step that opens the transaction of the offers: reading them has tests of its own."""
    steps = [line for line in told.splitlines() if not line.startswith("sync ")]
    (stored,) = [number for number, line in enumerate(steps) if 'INTO "offer"' in line]
    return stored


def enabled_and_whole(left: State, whole: State) -> bool:
    """Whether all that the database knows is on the disk, as after an update that nobody killed."""
    parts = {
        FIRST: (f"arch/{FIRST}", f"resources/{WEB}/1/", f"resources/{DB}/"),
        SECOND: (f"arch/{SECOND}", f"resources/{WEB}/2/"),
    }
    needed = {
        (path, content)
        for name, paths in parts.items()
        if left.knows(f"kernel/{name}")
        for path, content in whole.published()
        if path.startswith(paths)
    }
    return needed <= left.published()


def own(state: State) -> tuple[object, dict[str, str]]:
    """Tables without the log, and what is published; nothing that was under way is left."""
    files = {
        path: content
        for path, content in state.files.items()
        if not path.startswith("source") and content != "folder"
    }
    return state.rows[:-1], files


def test_updates_and_a_job_at_once_end_whole(run: Mortals, tmp_path: Path) -> None:
    publisher = Publisher.start(tmp_path / "publisher")
    publisher.list(publisher.pack(FIRST, {WEB: 1, DB: 1}), publisher.pack(SECOND, {WEB: 2}))
    data_dir = tmp_path / "var"
    run.ok(data_dir, "feed")
    outcomes = run.together(data_dir, [["kcare", "update"]] * 4, settings=publisher.settings)
    done = [outcome for outcome in outcomes if outcome.returncode == 0]
    assert done
    for outcome in outcomes:
        assert outcome in done or "The patch source is being read already" in outcome.output
    assert [state for _, _, state in state_of(data_dir).rows[3]] == ["enabled", "enabled"]
    assert run(data_dir, "kcare", "verify").returncode == 0
