"""Periodic work: in the admin process, by one process for each data directory."""

from __future__ import annotations

import fcntl
import logging
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from eportal_core import db
from eportal_core.errors import PortalError
from eportal_core.listening import Listening
from eportal_core.markers import THE_CORE
from eportal_core.models import Actor, acting
from eportal_core.operations import servers
from eportal_core.plugins import claim
from eportal_core.portal import Portal
from eportal_core.types import Job

log = logging.getLogger("eportal.jobs")

#: Agents check in every four hours: who listened this long has heard all that live, seconds.
HEARD_ALL = 5 * 3600
#: Seconds after which a process that found the work taken asks again.
RETRY_PERIOD = 10.0


def all_jobs(portal: Portal) -> list[Job]:
    """The core's jobs and the plugins'.

    Raises:
        PluginError: two jobs have the same name.
    """
    owners: dict[str, str] = {}
    jobs: list[Job] = []
    for owner, part in [
        (THE_CORE, _own_jobs(portal)),
        *portal.plugins.each("eportal_jobs", portal=portal),
    ]:
        for job in part:
            claim(owners, owner, f"job {job.name}")
            jobs.append(job)
    return jobs


class JobRunner(threading.Thread):
    """Runs ``jobs`` while it holds the lock on a file, which dies with its process."""

    def __init__(self, lock_path: Path, jobs: Sequence[Job]) -> None:
        super().__init__(name="jobs", daemon=True)
        self._lock_path = lock_path
        self._jobs = jobs
        self._stopping = threading.Event()

    def run(self) -> None:
        with self._lock_path.open("w") as lock:
            while not _take(lock.fileno()):
                if self._stopping.wait(RETRY_PERIOD):
                    return
            scheduler = self._scheduler()
            scheduler.start()
            self._stopping.wait()
            scheduler.shutdown()

    def stop(self) -> None:
        """End when the job that is running has ended."""
        self._stopping.set()
        self.join()

    def _scheduler(self) -> BackgroundScheduler:
        scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        for job in self._jobs:
            wait = job.period if job.first is None else job.first
            first = datetime.now(UTC) + timedelta(seconds=wait)
            scheduler.add_job(
                run_job, "interval", [job], seconds=job.period, id=job.name, next_run_time=first
            )
        return scheduler


def run_job(job: Job) -> None:
    """Run a job once and log what it did; one that fails is run again at its next time."""
    with acting(Actor("system", f"job {job.name}")):
        try:
            with db.connection():
                log.info("%s: %s", job.name, job.run())
        except PortalError as error:
            log.error("%s: %s", job.name, error)
        # Whatever a plugin's job raises, the other jobs go on.
        except Exception:
            log.exception("%s failed", job.name)


def _own_jobs(portal: Portal) -> list[Job]:
    period = portal.config["CLEAN_INACTIVE_SERVERS_PERIOD"]
    if period is None:
        return []

    listening = Listening()

    def clean() -> str:
        if listening.seconds() < HEARD_ALL:
            return "nothing, for the portal has not listened long enough to call a server silent"
        return f"{servers.clean_inactive(portal)} servers were deleted"

    # As soon as it can: some portals restart each night.
    first = min(period, HEARD_ALL + 600)
    return [Job("clean-inactive-servers", period, clean, first)]


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
