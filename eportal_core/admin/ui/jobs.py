"""``/admin/jobs``: what runs by itself, how it went, and run now."""

from __future__ import annotations

import time

from starlette.responses import Response

from eportal_core.admin.api import jobs
from eportal_core.admin.api.jobs import JobNamed, JobShown
from eportal_core.admin.api.operation import Access, NoArguments
from eportal_core.admin.ui.visit import View, Visit
from eportal_core.errors import NotFound

_PATH = "/jobs"
#: Seconds that a page waits for a job that may be done at once, and between two looks.
_PATIENCE = 1.0
_LOOK = 0.05
_UNITS = ((24 * 3600, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def show(visit: Visit) -> Response:
    found = jobs.list_jobs(visit.call, NoArguments()).result
    return visit.page("jobs.html", title="Jobs", jobs=found, every=_every)


def row(visit: Visit) -> Response:
    """One line of the table, for the script that looks how far a job is."""
    return visit.page("job_row.html", job=_found(visit, visit.text("name")), every=_every)


def run(visit: Visit) -> Response:
    name = visit.text("name")
    before = _found(visit, name)
    jobs.run_job_now(visit.call, JobNamed(name))
    deadline = time.monotonic() + _PATIENCE
    after = _found(visit, name)
    while (after.started == before.started or after.state == "running") and (
        time.monotonic() < deadline
    ):
        time.sleep(_LOOK)
        after = _found(visit, name)
    if after.started != before.started and after.state == "failed":
        return visit.go(_PATH, f"{name} failed: {after.result}", "error")
    if after.started != before.started and after.state == "ok":
        return visit.go(_PATH, f"{name}: {after.result or 'nothing to do'}.".replace("..", "."))
    return visit.go(_PATH, f"{name} was started.", "info")


def _found(visit: Visit, name: str) -> JobShown:
    for job in jobs.list_jobs(visit.call, NoArguments()).result:
        if job.name == name:
            return job
    raise NotFound("There is no such job.")


def _every(seconds: int) -> str:
    """``10 minutes``: the largest unit of which it is a whole number."""
    for size, unit in _UNITS:
        if seconds % size == 0 and seconds:
            count = seconds // size
            return unit if count == 1 else f"{count:,} {unit}s"
    return f"{seconds} seconds"


VIEWS = (
    View("GET", _PATH, Access.READER, show),
    View("GET", f"{_PATH}/row", Access.READER, row),
    View("POST", f"{_PATH}/run", Access.ADMIN, run),
)
