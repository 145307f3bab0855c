"""What takes longer than somebody waits for a page: done in a thread, looked at meanwhile.

Kept in memory: a task dies with the process, and what it had committed stays. Operations are made
so that they can be cut off anywhere.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime

from eportal_core import db
from eportal_core.errors import Conflict, NotFound, PortalError
from eportal_core.models import now
from eportal_core.patchsets.progress import watched
from eportal_core.types import Caller

log = logging.getLogger("eportal.tasks")

#: So many are done at once; more would only hinder each other.
AT_ONCE = 4
#: Seconds for which one that ended can be looked at, and how many of them.
KEPT = 24 * 3600
KEPT_MAX = 200

RUNNING = "running"
DONE = "done"
FAILED = "failed"


@dataclass
class Task:
    """Something that is being done for ``owner``, a user's name.

    onward: the path, with its query, where whoever waited goes on. label, done, total: how far it
    is; a total of 0 is not known. told: the sentence that says what came of it.
    """

    title: str
    owner: str
    onward: str
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    began: datetime = field(default_factory=now)
    state: str = RUNNING
    label: str = ""
    done: int = 0
    total: int = 0
    told: str = ""
    _ended: threading.Event = field(default_factory=threading.Event)
    _ended_at: float = 0.0

    def show(self, label: str, done: int, total: int) -> None:
        """Let those who look know how far it is."""
        self.label, self.done, self.total = label, done, total

    def succeed(self, told: str) -> None:
        self._end(DONE, told)

    def fail(self, told: str) -> None:
        self._end(FAILED, told)

    def wait(self, seconds: float) -> bool:
        """Whether it ended within so many seconds."""
        return self._ended.wait(seconds)

    def is_over(self, since: float) -> bool:
        """Whether it ended at least ``since`` seconds ago."""
        return self.state != RUNNING and time.monotonic() - self._ended_at >= since

    def _end(self, state: str, told: str) -> None:
        self.told, self._ended_at = told, time.monotonic()
        self.state = state
        self._ended.set()


class Tasks:
    """The tasks of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: dict[str, Task] = {}

    def open(self, caller: Caller, title: str, onward: str) -> Task:
        """A new task; whoever opened it does it, or lets ``run`` do it, and ends it.

        Raises:
            Conflict: too many are being done; of a readonly user, one is.
        """
        with self._lock:
            self._forget()
            running = [task for task in self._tasks.values() if task.state == RUNNING]
            if caller.readonly and any(task.owner == caller.username for task in running):
                raise Conflict("One of yours is being done already: try again when it has ended.")
            if len(running) >= AT_ONCE:
                raise Conflict(
                    f"{AT_ONCE} tasks are being done already: try again when one has ended."
                )
            task = Task(title, caller.username, onward)
            self._tasks[task.id] = task
        return task

    def start(self, caller: Caller, title: str, onward: str, work: Callable[[], str]) -> Task:
        """Begin ``work``, which returns a sentence; see ``run``.

        Raises:
            Conflict: too many are being done.
        """
        task = self.open(caller, title, onward)
        self.run(task, work)
        return task

    def run(self, task: Task, work: Callable[[], str]) -> None:
        """Do ``work`` in a thread, on a database connection; it returns a sentence.

        Its changes are recorded as those of whoever calls this; progress bars show in the task.
        """
        context = copy_context()
        threading.Thread(
            target=context.run, args=(_work, task, work), name="task", daemon=True
        ).start()

    def find(self, task_id: str, caller: Caller) -> Task:
        """The task, for its owner and for administrators.

        Raises:
            NotFound: there is none, or it is not theirs.
        """
        with self._lock:
            task = self._tasks.get(task_id)
        if task is None or (caller.readonly and task.owner != caller.username):
            raise NotFound(
                "There is no such task: it ended long ago, or with the portal's process. What it "
                "had done by then is done; begin the rest again."
            )
        return task

    def _forget(self) -> None:
        over = [task for task in self._tasks.values() if task.is_over(0)]
        for task in over:
            if task.is_over(KEPT) or task in over[: max(0, len(over) - KEPT_MAX)]:
                del self._tasks[task.id]


def _work(task: Task, work: Callable[[], str]) -> None:
    try:
        with db.connection(), watched(task.show):
            task.succeed(work())
    except PortalError as error:
        log.warning("%s, for %s: %s", task.title, task.owner, error.in_full)
        task.fail(str(error))
    # Whatever it is, whoever waits has to hear of it.
    except Exception:
        log.exception("%s, for %s, failed", task.title, task.owner)
        task.fail("Something went wrong; the portal's log says what.")


#: A process has one portal.
tasks = Tasks()
