"""``/admin/api/jobs``: periodic work, how it went, and run now."""

from __future__ import annotations

import logging
import threading

import msgspec

from eportal_core import job_runs
from eportal_core.admin.api.operation import Access, Call, NoArguments, Operation
from eportal_core.admin.api.shapes import Ok
from eportal_core.errors import Conflict, NotFound
from eportal_core.jobs import all_jobs, run_job

log = logging.getLogger("eportal.jobs")


class JobShown(msgspec.Struct, frozen=True):
    """A job. period: seconds. state: never, running, ok, failed or cut off. Times are UTC."""

    name: str
    period: int
    started: str | None
    ended: str | None
    state: str
    result: str
    next: str | None


class Jobs(msgspec.Struct, frozen=True):
    result: list[JobShown]


class JobNamed(msgspec.Struct, frozen=True):
    name: str


def list_jobs(call: Call, arguments: NoArguments) -> Jobs:
    """Each job, how its last run went and when it runs next."""
    rows = job_runs.listing(all_jobs(call.portal), call.portal.config.data_dir)
    return Jobs([msgspec.convert(row, JobShown) for row in rows])


def run_job_now(call: Call, arguments: JobNamed) -> Ok:
    """Begin a run of a job; the list tells how it goes."""
    data_dir = call.portal.config.data_dir
    for job in all_jobs(call.portal):
        if job.name == arguments.name:
            if job_runs.is_running(job.name, data_dir):
                raise Conflict(f"{job.name} is running already.")
            log.info("%s runs %s now", call.user.username, job.name)
            threading.Thread(target=run_job, args=[job, data_dir], name="job", daemon=True).start()
            return Ok("started")
    raise NotFound("There is no such job.")


OPERATIONS = (
    Operation("GET", "/admin/api/jobs", Access.READER, list_jobs),
    Operation("POST", "/admin/api/jobs/{name}/run", Access.ADMIN, run_job_now),
)
