"""Periodic work: in the admin process, by one process for each data directory."""

from __future__ import annotations

import fcntl
import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from eportal_core import data_age, job_runs
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
#: Seconds that a running job has to end when the portal stops. Each of them can be killed any time.
GRACE = 10.0


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
    """Runs ``jobs`` while it holds the lock on a file, which dies with its process.

    Each job has a thread and counts its time by the steady clock: no jump of the other one makes
    it run often, or never, and a job that takes hours keeps no other from its work.
    """

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
            workers = {
                job.name: threading.Thread(target=self._repeat, args=[job], daemon=True)
                for job in self._jobs
            }
            for worker in workers.values():
                worker.start()
            self._stopping.wait()
            deadline = time.monotonic() + GRACE
            for name, worker in workers.items():
                worker.join(max(0.0, deadline - time.monotonic()))
                if worker.is_alive():
                    log.warning("%s is cut off: the portal stops", name)

    def stop(self) -> None:
        """End when the jobs that are running have ended, or ``GRACE`` seconds have passed."""
        self._stopping.set()
        self.join()

    def _repeat(self, job: Job) -> None:
        period = min(job.period, job_runs.LONGEST_WAIT)
        wait = job_runs.first_wait(job)
        while True:
            job_runs.plan(job, wait)
            if self._stopping.wait(wait):
                return
            began = time.monotonic()
            run_job(job, self._lock_path.parent)
            # What was missed while it ran is not made up for.
            wait = period - (time.monotonic() - began) % period


def run_job(job: Job, data_dir: Path) -> None:
    """Run a job once and log what it did; one that fails is run again at its next time."""
    with acting(Actor("system", f"job {job.name}")):
        try:
            if done := job_runs.run(job, data_dir):
                log.info("%s: %s", job.name, done)
        except PortalError as error:
            log.error("%s: %s", job.name, error)


def _own_jobs(portal: Portal) -> list[Job]:
    return [_update_patches(portal), _evict_cache(portal), *_clean_inactive_servers(portal)]


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


def _clean_inactive_servers(portal: Portal) -> list[Job]:
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
