"""What is done in the background: progress, ends, owners, limits."""

from __future__ import annotations

import threading

import pytest

from eportal_core.admin import tasks as module
from eportal_core.admin.tasks import AT_ONCE, KEPT_MAX, Tasks
from eportal_core.errors import Conflict, InvalidValue, NotFound
from eportal_core.models import Actor, Change, acting
from eportal_core.operations import feeds
from eportal_core.patchsets.progress import progress_bar
from eportal_core.portal import Portal
from eportal_core.types import Caller

ANNA = Caller("anna", "local", False, "session")
EVE = Caller("eve", "local", False, "session")
ROB = Caller("rob", "local", True, "session")


@pytest.fixture
def tasks(portal: Portal) -> Tasks:
    """Those of a process whose database is open."""
    return Tasks()


def test_it_is_done_as_whoever_began_it(portal: Portal, tasks: Tasks) -> None:
    def work() -> str:
        feeds.add(portal, "new")
        return "Feed new was added."

    with acting(Actor("anna", "10.0.0.1", "session")):
        task = tasks.start(ANNA, "Add a feed", "/feeds", work)
    assert task.wait(10)
    assert (task.state, task.told) == ("done", "Feed new was added.")
    last = Change.select().order_by(Change.sequence.desc()).get()
    assert (last.actor, last.source, last.means) == ("anna", "10.0.0.1", "session")


def test_progress_bars_show_in_it(tasks: Tasks) -> None:
    told, go = threading.Event(), threading.Event()

    def work() -> str:
        with progress_bar("Downloading") as show, progress_bar("Unpacking") as inner:
            assert show is not None
            assert inner is not None
            show(3, 10)
            inner(9, 9)
            told.set()
            assert go.wait(10)
        return "Done."

    task = tasks.start(ANNA, "Download", "/", work)
    assert told.wait(10)
    assert (task.label, task.done, task.total, task.state) == ("Downloading", 3, 10, "running")
    assert not task.wait(0.01)
    go.set()
    assert task.wait(10)


def test_nobody_else_hears_of_its_progress() -> None:
    with progress_bar("Here") as show:
        assert show is None


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (InvalidValue("That is wrong."), "That is wrong."),
        (ZeroDivisionError("secret"), "Something went wrong; the portal's log says what."),
    ],
)
def test_a_failure_is_told(tasks: Tasks, error: Exception, told: str) -> None:
    def work() -> str:
        raise error

    task = tasks.start(ANNA, "Fail", "/", work)
    assert task.wait(10)
    assert (task.state, task.told) == ("failed", told)


def test_readonly_users_see_their_own_alone(tasks: Tasks) -> None:
    task = tasks.open(ANNA, "Hers", "/")
    assert tasks.find(task.id, ANNA) is task
    assert tasks.find(task.id, EVE) is task
    with pytest.raises(NotFound, match="no such task"):
        tasks.find(task.id, ROB)
    own = tasks.open(ROB, "His", "/")
    assert tasks.find(own.id, ROB) is own


def test_only_some_are_done_at_once(tasks: Tasks) -> None:
    running = [tasks.open(ANNA, "Long", "/") for _ in range(AT_ONCE)]
    with pytest.raises(Conflict, match="try again"):
        tasks.open(EVE, "One more", "/")
    running[0].fail("It was broken off.")
    tasks.open(EVE, "One more", "/")


def test_old_ones_are_forgotten(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []
    for number in range(KEPT_MAX + 5):
        task = tasks.open(ANNA, str(number), "/")
        task.succeed("Done.")
        ended.append(task)
    tasks.open(ANNA, "last", "/")
    for task in ended[:5]:
        with pytest.raises(NotFound):
            tasks.find(task.id, ANNA)
    assert tasks.find(ended[-1].id, ANNA) is ended[-1]
    monkeypatch.setattr(module, "KEPT", 0)
    tasks.open(ANNA, "later", "/")
    with pytest.raises(NotFound):
        tasks.find(ended[-1].id, ANNA)
