"""What came of trying settings: step by step, for whoever tried, while it goes on and after."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from eportal_core.admin.tasks import RUNNING, Task, tasks
from eportal_core.errors import PortalError
from eportal_core.portal import Portal
from eportal_core.types import Caller, Check, SettingsPage, SettingsTest

#: Seconds that a page waits for what may be done at once.
_PATIENCE = 2.0
#: So many are remembered, the latest.
_KEPT = 50


@dataclass
class Trial:
    """steps: those that ended, in order."""

    steps: list[Check] = field(default_factory=list)
    task: Task | None = None

    @property
    def is_running(self) -> bool:
        return self.task is not None and self.task.state == RUNNING


_trials: dict[tuple[str, str], Trial] = {}
_lock = threading.Lock()


def begin(
    portal: Portal,
    caller: Caller,
    page: SettingsPage,
    test: SettingsTest,
    typed: Mapping[str, str],
) -> None:
    """Try in a thread, and wait a moment for its end.

    Raises:
        Conflict: too much is being done already.
    """
    trial = Trial()
    trial.task = tasks.start(
        caller,
        f"{page.title}: {test.button}",
        page.path.removeprefix("/admin"),
        lambda: _steps(portal, test, typed, trial),
    )
    with _lock:
        _trials.pop((page.path, caller.username), None)
        _trials[page.path, caller.username] = trial
        for old in list(_trials)[:-_KEPT]:
            del _trials[old]
    trial.task.wait(_PATIENCE)


def last(page: SettingsPage, caller: Caller) -> Trial | None:
    """What came of the last one of this page and user; None when there was none."""
    return _trials.get((page.path, caller.username))


def _steps(portal: Portal, test: SettingsTest, typed: Mapping[str, str], trial: Trial) -> str:
    try:
        for step in test.run(portal, typed):
            trial.steps.append(step)
            if not step.ok:
                break
    except PortalError as error:
        trial.steps.append(Check("the test", False, str(error)))
    # A plugin's test may raise anything; the task's log has it.
    except Exception:
        sentence = "something went wrong; the portal's log says what"
        trial.steps.append(Check("the test", False, sentence))
        raise
    return f"{test.button}: done."
