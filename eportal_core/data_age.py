"""How old is what this portal knows of its patch source."""

from __future__ import annotations

from datetime import timedelta

from eportal_core.models import JobRun, now
from eportal_core.portal import Portal
from eportal_core.types import Check

CHECK = "patch source"
#: The job that reads it.
JOB = "update-patches"


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


def check_source(portal: Portal) -> Check:
    """The finding of ``kc.eportal doctor``."""
    age = data_age(portal)
    if age is None and portal.config["PATCH_SOURCE_URL"] is None:
        return Check(CHECK, True, "PATCH_SOURCE_URL is not set, nothing is fetched")
    if age is None:
        return Check(
            CHECK,
            False,
            "it was never read",
            "Tell what to trust with kc.eportal source trust, then see kc.eportal jobs.",
        )
    if _is_old(portal, age):
        return Check(
            CHECK,
            False,
            _told(age).lower(),
            "Updates fail: kc.eportal jobs and the log of the portal say why. Without a network, "
            "bring a newer bundle.",
        )
    if failure := _failure(portal):
        return Check(
            CHECK,
            False,
            f"{_told(age).lower()}, and the last update failed: {failure}",
            f"When that is mended, run kc.eportal jobs run {JOB}.",
        )
    return Check(CHECK, True, f"trusted, {_told(age).lower()}")


def _failure(portal: Portal) -> str:
    """Why the last update could not read the source; empty when it could, or another has since."""
    from eportal_core.source.client import last_refresh

    run, moment = JobRun.get_or_none(name=JOB), last_refresh(portal)
    if run is None or run.ok is not False or run.ended is None or moment is None:
        return ""
    # A clock that was set back lets the last time be one to come.
    return str(run.result).rstrip(".") if moment < run.started or moment > now() else ""


def _is_old(portal: Portal, age: timedelta) -> bool:
    return age > timedelta(days=portal.config["DATA_AGE_LIMIT"])


def _told(age: timedelta) -> str:
    return f"Data is {age.days} day{'' if age.days == 1 else 's'} old"
