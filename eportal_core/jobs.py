"""Periodic work: in the admin process, by one process for each data directory."""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from apscheduler.executors.base import BaseExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from eportal_core import data_age, job_runs, user_log
from eportal_core.counting import counted
from eportal_core.errors import PortalError
from eportal_core.listening import Listening
from eportal_core.markers import THE_CORE
from eportal_core.models import Actor, acting
from eportal_core.operations import bundles, servers, updates
from eportal_core.plugins import claim
from eportal_core.portal import Portal
from eportal_core.types import Job

log = logging.getLogger("eportal.jobs")

#: Agents check in every four hours: who listened this long has heard all that live, seconds.
HEARD_ALL = 5 * 3600
#: Seconds after which a process that found the work taken asks again.
RETRY_PERIOD = 10.0
#: Seconds between two looks for files of cache mode that may go.
EVICT_PERIOD = 3600
#: Seconds between two looks for entries of the user log that are older than it is kept.
PRUNE_PERIOD = 24 * 3600
#: Seconds that a running job has to end when the portal stops. Each of them can be killed any time.
GRACE = 10.0
#: What takes the work when it is free; no job has this name.
_TAKING = " "


def all_jobs(portal: Portal) -> list[Job]:
    """The core's jobs and the plugins'.

    Raises:
        PluginError: two jobs have the same name.
    """
    owners: dict[str, str] = {}
    jobs: list[Job] = []
    for owner, part in [
        (THE_CORE, _own_jobs(portal)),
        *portal.plugins.lists("eportal_jobs", Job, portal=portal),
    ]:
        for job in part:
            claim(owners, owner, f"job {job.name}")
            jobs.append(job)
    return jobs


class JobRunner:
    """Runs ``jobs`` while it holds the lock on a file, which dies with its process."""

    def __init__(self, lock_path: Path, jobs: Sequence[Job]) -> None:
        self._lock_path = lock_path
        self._jobs = jobs
        self._threads = _Daemons()
        self._scheduler = BackgroundScheduler(
            timezone=_STEADY,
            executors={"default": self._threads},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def start(self) -> None:
        """Begin with the work, or wait until whoever has it dies."""
        # It says how often it left out a run, for the one before went on.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._lock = self._lock_path.open("w")
        self._repeat(_TAKING, self._take_over, RETRY_PERIOD, 0)
        self._scheduler.start()

    def stop(self) -> None:
        """End when the jobs that are running have ended, or ``GRACE`` seconds have passed."""
        self._scheduler.shutdown(wait=False)
        deadline = time.monotonic() + GRACE
        for name, thread in self._threads.by_job.items():
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                log.warning("%s is cut off: the portal stops", name)
        self._lock.close()

    def _take_over(self) -> None:
        if job_runs.take(self._lock, fcntl.LOCK_EX):
            # The portal may stop at this very moment, and have removed all jobs.
            with suppress(JobLookupError):
                self._scheduler.remove_job(_TAKING)
            for job in self._jobs:
                wait = job_runs.first_wait(job)
                job_runs.plan(job, wait)
                self._repeat(job.name, partial(self._run, job), job.period, wait)

    def _run(self, job: Job) -> None:
        run_job(job, self._lock_path.parent)
        if found := self._scheduler.get_job(job.name):
            job_runs.plan(job, (found.next_run_time - datetime.now(_STEADY)).total_seconds())

    def _repeat(self, name: str, work: Callable[[], None], period: float, wait: float) -> None:
        first = datetime.now(_STEADY) + timedelta(seconds=wait)
        self._scheduler.add_job(work, _Every(period), id=name, name=name, next_run_time=first)


class _SteadyClock(tzinfo):
    """A time zone whose time is the steady clock's: no clock that is set changes it.

    The scheduler asks for the time in its zone, and compares with nothing else.
    """

    def fromutc(self, moment: datetime) -> datetime:
        return datetime(2000, 1, 1, tzinfo=self) + timedelta(seconds=time.monotonic())

    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(0)

    dst = utcoffset

    def tzname(self, moment: datetime | None) -> str:
        return "steady"


_STEADY = _SteadyClock()


class _Every(BaseTrigger):
    """Once in ``period`` seconds from now; what was missed is not made up for."""

    def __init__(self, period: float) -> None:
        self._period = timedelta(seconds=min(period, job_runs.LONGEST_WAIT))

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        return now + self._period


class _Daemons(BaseExecutor):
    """A thread for each run: a job that takes hours holds up no other one, nor the process."""

    def __init__(self) -> None:
        super().__init__()
        self.by_job: dict[str, Thread] = {}

    def _do_submit_job(self, job: Any, run_times: Sequence[datetime]) -> None:
        self.by_job[job.id] = Thread(target=self._run, args=[job], name=job.id, daemon=True)
        self.by_job[job.id].start()

    def _run(self, job: Any) -> None:
        try:
            job.func()
        finally:
            self._run_job_success(job.id, [])


def run_job(job: Job, data_dir: Path) -> None:
    """Run a job once and log what it did; one that fails is run again at its next time."""
    with acting(Actor("system", "", f"job {job.name}")):
        try:
            if done := job_runs.run(job, data_dir):
                log.info("%s: %s", job.name, done)
        except PortalError as error:
            log.error("%s: %s", job.name, error.in_full)


def _own_jobs(portal: Portal) -> list[Job]:
    return [
        _update_patches(portal),
        _evict_cache(portal),
        _prune_log(portal),
        *_clean_inactive_servers(portal),
    ]


def _update_patches(portal: Portal) -> Job:
    """It is always there: a source may be set while the portal runs."""

    def update() -> str:
        from_source = portal.config["PATCH_SOURCE_URL"]
        return updates.update_all(portal) if from_source else bundles.enable_due(portal)

    return Job(data_age.JOB, portal.config["AUTO_UPDATE_PERIOD"], update)


def _evict_cache(portal: Portal) -> Job:
    """It is always there: files stay behind when cache mode is switched off."""

    def evict() -> str:
        from eportal_core.caching.evicting import evict_cache

        return evict_cache(portal)

    return Job("evict-cache", EVICT_PERIOD, evict)


def _prune_log(portal: Portal) -> Job:
    """It is always there: USER_LOG_KEEP may be set while the portal runs."""

    def prune() -> str:
        keep = portal.config["USER_LOG_KEEP"]
        count = 0 if keep is None else user_log.prune(keep)
        return f"{counted(count, 'entry was', 'entries were')} removed" if count else ""

    return Job("prune-log", PRUNE_PERIOD, prune, first=3600)


def _clean_inactive_servers(portal: Portal) -> list[Job]:
    period = portal.config["CLEAN_INACTIVE_SERVERS_PERIOD"]
    if period is None:
        return []

    listening = Listening()

    def clean() -> str:
        if listening.seconds() < HEARD_ALL:
            return "nothing, for the portal has not listened long enough to call a server silent"
        return f"{counted(servers.clean_inactive(portal), 'server was', 'servers were')} deleted"

    # As soon as it can: some portals restart each night.
    first = min(period, HEARD_ALL + 600)
    return [Job("clean-inactive-servers", period, clean, first)]
