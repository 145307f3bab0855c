"""How old is what this portal knows of its patch source."""

from __future__ import annotations

from datetime import timedelta

from eportal_core.counting import counted
from eportal_core.models import JobRun, now
from eportal_core.portal import Portal
from eportal_core.types import Check

CHECK = "patch source"
#: The job that reads it.
JOB = "update-patches"
#: After so many of its periods without a run, something is wrong.
_PERIODS = 3


def data_age(portal: Portal) -> timedelta | None:
    """Time since the patch source was last read and all of it was good; None for never."""
    # It loads a good deal, and half of the commands need none of it.
    from eportal_core.source.client import last_refresh

    moment = last_refresh(portal)
    # A clock that was set back since makes nothing fresher than fresh.
    return None if moment is None else max(now() - moment, timedelta(0))


def old_data(portal: Portal) -> str:
    """``Data is 9 days old``, past the setting DATA_AGE_LIMIT; empty before."""
    age = data_age(portal)
    return _told(age) if age is not None and _is_old(portal, age) else ""


def check_source(portal: Portal, *, updating: bool = False) -> Check:
    """The finding of ``kc.eportal doctor``; updating: the job runs right now."""
    age = data_age(portal)
    if age is None and not portal.config["PATCH_SOURCE_URL"]:
        return Check(CHECK, True, "PATCH_SOURCE_URL is not set, nothing is fetched")
    told = "it was never read" if age is None else _told(age).lower()
    run = JobRun.get_or_none(name=JOB) or JobRun(name=JOB)
    if failure := _failure(portal, run):
        finding = f"{told}, and the last update failed: {failure}"
        return Check(CHECK, False, finding, f"When that is mended, run kc.eportal jobs run {JOB}.")
    silence = "" if updating else _silence(portal, run)
    finding = f"{told}, and {silence}" if silence else told
    if age is None:
        advice = "Tell what to trust with kc.eportal source trust, then see kc.eportal jobs."
        return Check(CHECK, False, finding, advice)
    if silence:
        advice = "kc.eportal serve runs updates: see that it runs, and what kc.eportal jobs tells."
        return Check(CHECK, False, finding, advice)
    if _is_old(portal, age):
        return Check(CHECK, False, finding, "Without a network, bring a newer bundle.")
    return Check(CHECK, True, f"trusted, {finding}")


def _failure(portal: Portal, run: JobRun) -> str:
    """Why the last update could not read the source; empty when it could, or another has since."""
    from eportal_core.source.client import last_refresh

    if run.ok is not False or run.ended is None:
        return ""
    moment = last_refresh(portal)
    # A clock that was set back lets the last time be one to come.
    failed = moment is None or moment < run.started or moment > now()
    return str(run.result).rstrip(".") if failed else ""


def _silence(portal: Portal, run: JobRun) -> str:
    """Since when nothing updates, if it is too long; empty for a portal that has no source."""
    from eportal_core.source.client import last_refresh

    if not portal.config["PATCH_SOURCE_URL"]:
        return ""
    moments = [moment for moment in (run.started, last_refresh(portal)) if moment is not None]
    if not moments:
        return "no update ever ran"
    silent = (now() - max(moments)).total_seconds()
    if silent <= _PERIODS * portal.config["AUTO_UPDATE_PERIOD"]:
        return ""
    return f"no update ran since {max(moments):%Y-%m-%d %H:%M} UTC"


def _is_old(portal: Portal, age: timedelta) -> bool:
    return age > timedelta(days=portal.config["DATA_AGE_LIMIT"])


def _told(age: timedelta) -> str:
    return f"Data is {counted(age.days, 'day')} old"
