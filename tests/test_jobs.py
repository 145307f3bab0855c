"""Periodic work: by one process at a time, soon when it was due, and never in the way."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest

from eportal_core import db, hookimpl, job_runs
from eportal_core import plugins as plugins_module
from eportal_core.errors import Conflict, PortalError, UpstreamError
from eportal_core.jobs import JobRunner
from eportal_core.models import JobRun, now
from eportal_core.portal import Portal
from eportal_core.types import Job
from tests.support.commands import CommandLine
from tests.support.inprocess import InProcess
from tests.support.polling import eventually
from tests.support.serving import serving
from tests.support.upstreams import Upstream, upstream

DAY = 86_400


class Working:
    """A plugin with the jobs that a test gives it."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def job(self, run: Callable[[], str], name: str = "work", period: int = 3600) -> None:
        self.jobs.append(Job(name, period, run))

    @hookimpl
    def eportal_jobs(self) -> Sequence[Job]:
        return self.jobs


@pytest.fixture
def working(monkeypatch: pytest.MonkeyPatch) -> Working:
    """Installed for every ``kc`` of the test."""
    plugin = Working()
    load = plugins_module.load

    def with_plugin() -> plugins_module.Plugins:
        plugins = load()
        plugins.manager.register(plugin, "working")
        return plugins

    monkeypatch.setattr("eportal_core.cli.load", with_plugin)
    return plugin


def listed(kc: InProcess | CommandLine, name: str = "work") -> dict[str, Any]:
    (row,) = [row for row in kc.json("jobs") if row["name"] == name]
    return row


@contextmanager
def running(data_dir: Path, *jobs: Job) -> Iterator[JobRunner]:
    runner = JobRunner(data_dir / "jobs.lock", jobs)
    runner.start()
    try:
        yield runner
    finally:
        runner.stop()


# The commands


def test_a_job_that_never_ran_is_listed(kc: InProcess, working: Working) -> None:
    working.job(lambda: "done")
    row = listed(kc)
    assert (row["state"], row["started"], row["result"], row["next"]) == ("never", None, "", None)
    assert row["period"] == 3600
    (line,) = [line for line in kc.ok("jobs").splitlines() if line.startswith("work ")]
    assert "when the portal runs" in line


def test_a_job_is_run_now_and_how_it_went_is_kept(kc: InProcess, working: Working) -> None:
    working.job(lambda: "7 servers were deleted")
    assert kc.ok("jobs", "run", "work") == "work: 7 servers were deleted\n"
    row = listed(kc)
    assert (row["state"], row["result"]) == ("ok", "7 servers were deleted")
    assert row["started"] <= row["ended"]
    assert "7 servers were deleted" in kc.ok("jobs", "list")


def test_a_job_that_fails_says_so_and_the_next_time_counts(kc: InProcess, working: Working) -> None:
    outcomes: list[Exception | str] = [UpstreamError("It is away."), ZeroDivisionError("x"), "well"]

    def run() -> str:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    working.job(run)
    for sentence in ("It is away", "work failed: ZeroDivisionError: x"):
        done = kc("jobs", "run", "work")
        assert done.code == 1
        assert done.err.splitlines()[-1] == f"kc.eportal: error: {sentence}."
        assert listed(kc)["state"] == "failed"
        assert listed(kc)["result"].rstrip(".") == sentence
    kc.ok("jobs", "run", "work")
    assert (listed(kc)["state"], listed(kc)["result"]) == ("ok", "well")


def test_what_a_job_did_is_kept_within_bounds(kc: InProcess, working: Working) -> None:
    working.job(lambda: "a long\nstory " * 10_000)
    kc.ok("jobs", "run", "work")
    kept = listed(kc)["result"]
    assert kept.startswith("a long story a long story")
    assert len(kept) == job_runs.LONGEST_RESULT
    *table, below = kc.ok("jobs").splitlines()
    assert max(map(len, table)) < 250
    assert below == f"work: {kept}"


def test_why_a_job_failed_can_be_read_whole(kc: InProcess, working: Working) -> None:
    sentence = f"The address {'a' * 80} does not answer: no route to host."

    def run() -> str:
        raise UpstreamError(sentence)

    working.job(run)
    kc("jobs", "run", "work")
    assert f"\nwork: {sentence}\n" in kc.ok("jobs")


@pytest.mark.parametrize("name", ["absent", "../../etc", "", "work\0"])
def test_a_job_that_is_none_is_refused(kc: InProcess, working: Working, name: str) -> None:
    working.job(lambda: "done")
    assert "There is no job" in kc.refused("jobs", "run", name, code=1)


def test_a_name_of_any_kind_has_a_lock_of_its_own(kc: InProcess, working: Working) -> None:
    names = ["../escape", "a/b", "..", "Ünï cödé"]
    for name in names:
        working.job(lambda: "done", name)
    for name in names:
        kc.ok("jobs", "run", name)
    locks = [path for path in kc.data_dir.rglob("*.lock") if path.parent.name == "jobs"]
    assert len(locks) == len(names)
    assert not list(kc.data_dir.parent.glob("escape*"))


def test_work_is_done_although_it_cannot_be_told_of(kc: InProcess, working: Working) -> None:
    done = []
    working.job(lambda: done.append(1) or "done")
    kc.ok("feed")
    with closing(sqlite3.connect(kc.data_dir / db.FILE_NAME)) as database:
        database.execute("DROP TABLE job_run")
    assert "work: done" in kc.ok("jobs", "run", "work")
    assert done == [1]


def test_a_job_runs_once_at_a_time(portal: Portal, data_dir: Path) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        began.set()
        assert go_on.wait(20)
        return "done"

    job = Job("slow", 3600, slow)
    first = threading.Thread(target=job_runs.run, args=[job, data_dir])
    first.start()
    assert began.wait(10)
    try:
        with pytest.raises(Conflict, match="slow is running already"):
            job_runs.run(job, data_dir)
        (row,) = job_runs.listing([job], data_dir)
        assert row["state"] == "running"
    finally:
        go_on.set()
        first.join()
    assert job_runs.run(job, data_dir) == "done"


def test_who_looks_whether_a_job_runs_does_not_keep_it_from_running(
    portal: Portal, data_dir: Path
) -> None:
    job = Job("work", 3600, lambda: "done")
    job_runs.run(job, data_dir)
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            job_runs.is_running("work", data_dir)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(50):
            job_runs.run(job, data_dir)
    finally:
        stop.set()
        looking.join()


# When


@pytest.mark.parametrize(
    ("started", "ended", "first", "wait"),
    [
        (timedelta(hours=-1), True, None, 23 * 3600),
        (timedelta(days=-1, hours=-1), True, None, job_runs.SOON),
        (timedelta(days=-4000), True, None, job_runs.SOON),
        (timedelta(days=-4000), True, 600, 600),
        # The clock was ahead when it ran last.
        (timedelta(days=+4000), True, None, DAY),
        # It was cut off.
        (timedelta(seconds=-60), False, None, job_runs.AFTER_CUT - 60),
        (timedelta(hours=-5), False, None, job_runs.SOON),
        (timedelta(days=+4000), False, None, DAY),
    ],
)
def test_what_was_due_is_done_soon_and_nothing_is_put_off_for_ever(
    portal: Portal, started: timedelta, ended: bool, first: int | None, wait: float
) -> None:
    moment = now()
    JobRun.create(name="work", started=moment + started, ended=moment if ended else None, ok=True)
    found = job_runs.first_wait(Job("work", DAY, str, first))
    assert abs(found - wait) < 5


def test_a_job_that_never_ran_keeps_its_time_over_restarts(portal: Portal, data_dir: Path) -> None:
    """Else a portal that restarts each night would never do what is due each week."""
    job = Job("weekly", 7 * DAY, lambda: "done")
    with running(data_dir, job):
        planned = eventually(lambda: JobRun.get_or_none(name="weekly"))
        assert abs((planned.planned - now()).total_seconds() - 7 * DAY) < 5
    JobRun.update(planned=now() + timedelta(days=1)).execute()
    assert abs(job_runs.first_wait(job) - DAY) < 5
    JobRun.update(planned=now() - timedelta(days=1)).execute()
    assert job_runs.first_wait(job) == job_runs.SOON


def test_a_period_of_ages_is_no_error(portal: Portal, data_dir: Path) -> None:
    job = Job("never", 10**15, lambda: "done")
    with running(data_dir, job):
        eventually(lambda: JobRun.get_or_none(name="never"))
    job_runs.run(job, data_dir)
    assert job_runs.first_wait(job) > 3000 * DAY


def set_to(jump: timedelta) -> type[datetime]:
    """``datetime`` of a machine whose clock jumped so far."""

    class Jumped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            moment = datetime.now(UTC) + jump
            return moment if tz is None else moment.astimezone(tz)

    return Jumped


def test_a_jump_of_the_clock_makes_no_storm_and_no_pause(
    portal: Portal, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times: list[float] = []
    job = Job("often", 0.1, lambda: times.append(time.monotonic()) or "done", 0)
    with running(data_dir, job):
        eventually(lambda: len(times) > 3)
        for jump in (timedelta(days=+20_000), timedelta(days=-20_000)):
            real = now() + jump
            monkeypatch.setattr(job_runs, "now", lambda real=real: real)
            for module in ("apscheduler.schedulers.base", "eportal_core.jobs"):
                monkeypatch.setattr(f"{module}.datetime", set_to(jump))
            before = len(times)
            eventually(lambda before=before: len(times) > before + 3)
    assert len(times) <= (times[-1] - times[0]) / 0.1 + 3


def test_a_job_that_takes_hours_keeps_no_other_from_its_work(
    portal: Portal, data_dir: Path
) -> None:
    go_on, count = threading.Event(), []
    slow = Job("slow", 0.1, lambda: str(go_on.wait(20)), 0)
    quick = Job("quick", 0.05, lambda: count.append(1) or "done", 0)
    failing = Job("failing", 0.05, lambda: count.append(2) or 1 / 0, 0)
    with running(data_dir, slow, quick, failing):
        eventually(lambda: count.count(1) > 3)
        eventually(lambda: count.count(2) > 3)
        go_on.set()
    assert JobRun.get_by_id("failing").ok is False


def test_stopping_waits_for_a_job_but_not_for_hours(
    portal: Portal, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eportal_core.jobs.GRACE", 0.5)
    began, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        began.set()
        go_on.wait(20)
        return "done"

    runner = JobRunner(data_dir / "jobs.lock", [Job("slow", 3600, slow, 0)])
    runner.start()
    assert began.wait(10)
    before = time.monotonic()
    runner.stop()
    assert 0.4 < time.monotonic() - before < 3
    # The job is still the process's: another one does not begin it a second time.
    with pytest.raises(Conflict):
        job_runs.run(Job("slow", 3600, slow), data_dir)
    go_on.set()
    eventually(lambda: not job_runs.is_running("slow", data_dir))


# Processes


@pytest.fixture
def slow_upstream(tmp_path: Path) -> Iterator[tuple[Upstream, dict[str, str]]]:
    """An upstream that answers nothing, and the settings of a mirror that asks it."""
    key = tmp_path / "key.asc"
    key.write_text("no key")
    with upstream() as served:
        served.open.clear()
        yield (
            served,
            {
                "ESU_URL": served.url,
                "ESU_REPOSITORIES": "esu",
                "ESU_GPG_KEY": str(key),
                "ESU_UPDATE_PERIOD": "3600",
            },
        )


def due_since_yesterday(data_dir: Path) -> None:
    """As if the portal had been off: the job ran two days ago and is overdue."""
    moment = int((time.time() - 2 * DAY) * 1e6)
    with closing(sqlite3.connect(data_dir / db.FILE_NAME)) as database, database:
        database.execute(
            "REPLACE INTO job_run (name, started, ended, ok, result, planned)"
            " VALUES ('esu-update', ?, ?, 1, 'well', ?)",
            (moment, moment, moment + 3_600_000_000),
        )


def test_one_process_runs_a_job_and_kill_lets_the_next_one(
    data_dir: Path, slow_upstream: tuple[Upstream, dict[str, str]]
) -> None:
    served, settings = slow_upstream
    cli = CommandLine(data_dir, settings)
    command = [cli.program, "jobs", "run", "esu-update"]
    with subprocess.Popen(command, env=cli.environ, stdout=subprocess.DEVNULL) as first:
        eventually(lambda: served.asked, 30)
        assert listed(cli, "esu-update")["state"] == "running"
        second = cli("jobs", "run", "esu-update")
        assert (second.returncode, second.stdout) == (1, "")
        assert "The job esu-update is running already" in second.stderr
        first.kill()
    assert listed(cli, "esu-update")["state"] == "cut off"
    served.open.set()
    assert cli("jobs", "run", "esu-update").returncode == 1
    assert "404" in listed(cli, "esu-update")["result"]


def test_of_two_portals_one_works_and_the_other_takes_over(
    data_dir: Path, slow_upstream: tuple[Upstream, dict[str, str]]
) -> None:
    served, settings = slow_upstream
    served.open.set()
    cli = CommandLine(data_dir, settings)
    cli.ok("feed")
    due_since_yesterday(data_dir)

    def runs(log: Path) -> int:
        return log.read_text().count("eportal.jobs - ERROR - esu")

    with serving(data_dir, **settings) as first, serving(data_dir, **settings) as second:
        eventually(lambda: runs(first.log) + runs(second.log), 30)
        row = listed(cli, "esu-update")
        assert row["state"] == "failed"
        assert row["next"] > row["ended"]
        assert [path for path in served.paths() if "repomd.xml" in path] == [
            "/esu/repodata/repomd.xml"
        ]
        worker, other = (first, second) if runs(first.log) else (second, first)
        due_since_yesterday(data_dir)
        worker.process.send_signal(signal.SIGTERM)
        worker.process.wait(timeout=30)
        eventually(lambda: runs(other.log), 40)


def test_a_portal_ends_although_a_job_is_running(
    data_dir: Path, slow_upstream: tuple[Upstream, dict[str, str]]
) -> None:
    served, settings = slow_upstream
    cli = CommandLine(data_dir, settings)
    cli.ok("feed")
    due_since_yesterday(data_dir)
    with serving(data_dir, **settings) as portal:
        eventually(lambda: served.asked, 30)
        refused = cli("jobs", "run", "esu-update")
        assert "is running already" in refused.stderr
        began = time.monotonic()
        portal.process.terminate()
        portal.process.wait(timeout=30)
        assert time.monotonic() - began < 20
        assert "esu-update is cut off" in portal.log.read_text()
    assert listed(cli, "esu-update")["state"] == "cut off"


def test_an_error_of_the_portal_is_told_as_it_is(portal: Portal, data_dir: Path) -> None:
    def refuse() -> str:
        raise PortalError("No.")

    with pytest.raises(PortalError, match=r"^No\.$"):
        job_runs.run(Job("refuse", 60, refuse), data_dir)
