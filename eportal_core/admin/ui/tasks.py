"""``/admin/tasks/<id>``: how far something is that takes long."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from starlette.responses import JSONResponse, Response

from eportal_core.admin.api.operation import Access
from eportal_core.admin.tasks import DONE, FAILED, RUNNING, Task, tasks
from eportal_core.admin.ui.visit import View, Visit
from eportal_core.errors import PortalError
from eportal_core.patchsets.progress import progress_bar

#: Seconds that an answer waits: most tasks are done by then, and nobody sees their page.
_PATIENCE = 3.0
PATH = "/tasks"


def ended_or_shown(visit: Visit, task: Task) -> Response:
    """Where the task leads if it is done already, else its page."""
    if task.wait(_PATIENCE) and task.state == DONE:
        return visit.go(task.onward, task.told)
    return visit.go(f"{PATH}/{task.id}")


def in_steps(
    visit: Visit,
    title: str,
    total: int,
    onward: str,
    told: Callable[[int], str],
    steps: Iterator[int],
) -> Response:
    """Do ``steps`` as a task; each of them tells how many it did, of ``total``.

    told: says what was done, by how many; also when a step fails and ends it.
    """

    def work() -> str:
        done = 0
        with progress_bar(title) as show:
            try:
                for count in steps:
                    done += count
                    if show:
                        show(done, total)
            except PortalError as error:
                raise PortalError(f"{told(done)} {error}") from error
        return told(done)

    return ended_or_shown(visit, tasks.start(visit.user, title, onward, work))


def show(visit: Visit) -> Response:
    task = tasks.find(visit.text("id"), visit.user)
    return visit.page(
        "task.html",
        title=task.title,
        task=task,
        is_running=task.state == RUNNING,
        has_failed=task.state == FAILED,
    )


def state(visit: Visit) -> Response:
    """The same for the script of the page."""
    task = tasks.find(visit.text("id"), visit.user)
    return JSONResponse(
        {"state": task.state, "label": task.label, "done": task.done, "total": task.total}
    )


VIEWS = (
    View("GET", f"{PATH}/{{id}}", Access.READER, show),
    View("GET", f"{PATH}/{{id}}/state", Access.READER, state),
)
