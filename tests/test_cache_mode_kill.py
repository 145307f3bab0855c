"""``kill -9`` at steps of switching to cache mode and back: the next run makes up for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.mortal import Fate, Mortals
from tests.support.patches import WEB
from tests.support.publishing import Publisher
from tests.support.states import State, state_of

NAME = "K20260101_01"
#: Every so many steps: all of them take a minute.
STRIDE = 6


def published(state: State) -> dict[str, str]:
    """Archives, manifests and levels with their bytes, and nothing that was under way."""
    assert [path for path in state.files if path.startswith("staging/")] == ["staging/lock"]
    return {
        path: content
        for path, content in state.files.items()
        if path.startswith(("arch/", "resources/"))
    }


@pytest.mark.parametrize("back", [False, True], ids=["on", "off"])
def test_a_death_at_any_step(run: Mortals, tmp_path: Path, back: bool) -> None:
    publisher = Publisher.start(tmp_path / "publisher")
    publisher.offer(NAME, {WEB: 1})
    settings = {**publisher.settings, "CACHE_MODE": "True", "DOWNLOADS_AT_ONCE": "1"}
    before, after, killed = (tmp_path / name for name in ("before", "after", "killed"))
    arguments: tuple[str, ...] = ("cache-mode", "--fetch-meta")
    run.ok(before, "feed")
    if back:
        run.ok(before, *arguments, settings=settings)
        settings["CACHE_MODE"], arguments = "False", ("kcare", "download-missing")
    shutil.copytree(before, after)
    told = run(after, *arguments, fate=Fate(told=True), settings=settings).output
    whole = published(state_of(after))
    assert whole
    steps = [line for line in told.splitlines() if not line.startswith("sync ")]
    first = next(number for number, line in enumerate(steps, 1) if "cache/" in line)
    for step in range(first, 400, STRIDE):
        shutil.rmtree(killed, ignore_errors=True)
        shutil.copytree(before, killed)
        outcome = run(killed, *arguments, fate=Fate(die_at=step), settings=settings)
        if not outcome.died:
            assert outcome.returncode == 0, outcome.output
            break
        # Whatever is known is here, or said to be missing.
        left = state_of(killed)
        if left.knows(f"kernel/{NAME}"):
            assert f"arch/{NAME}.meta.json" in left.files, outcome.output
        run.ok(killed, *arguments, settings=settings)
        run.ok(killed, "sweep")
        run.ok(killed, "kcare", "verify", settings=settings)
        assert published(state_of(killed)) == whole, outcome.output
    assert step > first
