"""One run of a job: by one process at a time, and what came of it is kept."""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from eportal_core import db
from eportal_core.errors import Conflict, DatabaseError, PortalError
from eportal_core.models import JobRun, now, shown
from eportal_core.storage import disk_errors
from eportal_core.types import Job

log = logging.getLogger("eportal.jobs")

#: Folder of the data directory with a lock for each job.
LOCKS = "jobs"
#: Characters of what a job did that are kept.
LONGEST_RESULT = 2000
#: A job that was due while nobody ran it is run so many seconds after the start.
SOON = 5
#: One that was cut off is begun again after so many, and never later than after its period.
AFTER_CUT = 600
#: No timer waits longer, seconds.
LONGEST_WAIT = 3650 * 24 * 3600
#: Whoever looks whether a job is running holds its lock for a moment; seconds to wait for that.
_PATIENCE = 1.0


def run(job: Job, data_dir: Path) -> str:
    """Run ``job`` in this process, to its end; returns what it did.

    Raises:
        Conflict: it is running already.
        PortalError: it failed; that is kept, too.
    """
    with _lock(data_dir, job.name) as alone:
        if not alone:
            raise Conflict(
                f"The job {job.name} is running already: kc.eportal jobs tells when it has ended."
            )
        _keep(job.name, started=now(), ended=None)
        try:
            with db.connection():
                done = job.run()
        except PortalError as error:
            _keep(job.name, ended=now(), ok=False, result=_bounded(str(error)))
            raise
        # Whatever a plugin's job raises, it is one job that failed.
        except Exception as error:
            sentence = f"{job.name} failed: {type(error).__name__}: {error}"
            _keep(job.name, ended=now(), ok=False, result=_bounded(sentence))
            log.exception("%s failed", job.name)
            raise PortalError(f"{sentence}.") from error
        # A plugin's job may forget to tell.
        told = "" if done is None else str(done)
        _keep(job.name, ended=now(), ok=True, result=_bounded(told))
        return told


def plan(job: Job, wait: float) -> None:
    """Keep that ``job`` runs next in ``wait`` seconds."""
    _keep(job.name, planned=now() + timedelta(seconds=wait))


def first_wait(job: Job) -> float:
    """Seconds from the start of the portal to the first run of ``job``.

    What was due meanwhile is done soon. A clock that was set back or forth makes it neither more
    than one period nor nothing at all.
    """
    try:
        with db.connection():
            last = JobRun.get_or_none(name=job.name)
    except DatabaseError as error:
        log.error("%s: %s", job.name, error.in_full)
        last = None
    due = None if last is None else _due(job, last)
    if due is None:
        return min(job.period if job.first is None else job.first, LONGEST_WAIT)
    longest = min(job.period, LONGEST_WAIT)
    least = min(SOON if job.first is None else job.first, longest)
    return min(max((due - now()).total_seconds(), least), longest)


def is_running(name: str, data_dir: Path) -> bool:
    """Whether any process runs the job right now."""
    try:
        with _lock_file(data_dir, name).open("rb") as file:
            return not take(file, fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


def listing(jobs: list[Job], data_dir: Path) -> Iterator[dict[str, object]]:
    """Each job, how its last run went, and when it runs next; times in UTC, periods in seconds.

    ``state``: ``never``, ``running``, ``ok``, ``failed``, or ``cut off`` by the end of its process.
    ``next``: None when it is only known once the portal runs.
    """
    runs = {row.name: row for row in JobRun.select()}
    for job in jobs:
        found = runs.get(job.name, JobRun(name=job.name))
        state = _state(found, data_dir)
        is_ahead = found.planned is not None and found.planned > now()
        yield {
            "name": job.name,
            "period": job.period,
            "started": shown(found.started),
            "ended": shown(found.ended),
            "state": state,
            "result": found.result if state in ("ok", "failed") else "",
            "next": shown(found.planned) if is_ahead else None,
        }


def _state(found: JobRun, data_dir: Path) -> str:
    if found.started is None:
        return "never"
    if found.ended is None:
        return "running" if is_running(found.name, data_dir) else "cut off"
    return "ok" if found.ok else "failed"


def _due(job: Job, last: JobRun) -> datetime | None:
    if last.started is None:
        planned: datetime | None = last.planned
        return planned
    period = min(job.period, LONGEST_WAIT)
    wait = period if last.ended is not None else min(period, AFTER_CUT)
    due: datetime = last.started + timedelta(seconds=wait)
    return due


def _keep(name: str, **values: object) -> None:
    """Work is not given up because it cannot be told of: the disk may be full."""
    try:
        with db.connection():
            JobRun.insert(name=name, **values).on_conflict(
                conflict_target=[JobRun.name], update=values
            ).execute()
    except DatabaseError as error:
        log.error("%s: %s", name, error.in_full)


def _bounded(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_RESULT else f"{line[: LONGEST_RESULT - 1]}…"


def _lock_file(data_dir: Path, name: str) -> Path:
    return data_dir / LOCKS / f"{quote(name, safe='')}.lock"


@contextmanager
def _lock(data_dir: Path, name: str) -> Iterator[bool]:
    """Whether this process has the job for itself; the kernel frees it when the process dies."""
    path = _lock_file(data_dir, name)
    with disk_errors():
        path.parent.mkdir(exist_ok=True)
        file = path.open("ab")
    with file:
        deadline = time.monotonic() + _PATIENCE
        while not (taken := take(file, fcntl.LOCK_EX)) and time.monotonic() < deadline:
            time.sleep(_PATIENCE / 10)
        yield taken


def take(file: IO[Any], how: int) -> bool:
    """Whether the lock on ``file`` was free; ``how`` is ``LOCK_EX`` or ``LOCK_SH``."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
