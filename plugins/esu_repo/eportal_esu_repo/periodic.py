"""The mirror without anybody at the keyboard: the job that updates it, and what doctor finds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from eportal_core import Check, Job, Portal, PortalError, UpstreamError

if TYPE_CHECKING:
    from eportal_esu_repo.repository import Repository

#: An update may fail so many times before doctor speaks of it.
_PATIENCE = 3
#: Clocks of two machines may differ by so much, seconds.
_SKEW = 3600


def jobs(portal: Portal) -> Sequence[Job]:
    period = portal.config["ESU_UPDATE_PERIOD"]
    return [Job("esu-update", period, lambda: _update(portal))] if period else []


def checks(portal: Portal) -> Sequence[Check]:
    """Whether there is an upstream, and one finding for each repository.

    Raises:
        InvalidValue: the settings cannot be used.
    """
    from eportal_esu_repo.repository import mirror
    from eportal_esu_repo.upstream import address, rules

    repositories = mirror(portal)
    if portal.config["ESU_URL"] is not None:
        address(portal)
    elif not any(repository.current() for repository in repositories):
        return [Check("esu", True, "ESU_URL is not set, nothing is mirrored")]
    key = rules(portal).key
    if not key.is_file():
        return [Check("esu", False, f"there is no file {key}", "Put the key there: ESU_GPG_KEY.")]
    return [_check(portal, repository) for repository in repositories]


def _check(portal: Portal, repository: Repository) -> Check:
    from eportal_esu_repo.status import shown_time, status

    found = status(repository)
    period = portal.config["ESU_UPDATE_PERIOD"]
    advice = ""
    if portal.config["ESU_URL"] is None:
        advice = "Apply a bundle that has it whole." if found.incomplete else ""
    elif found.mirrored is None:
        advice = "Run kc.eportal esu update."
    elif found.incomplete:
        advice = "Run kc.eportal esu update; it says what cannot be had."
    elif found.mirrored > time.time() + _SKEW:
        advice = "The clock was ahead then: see that it is right, and run kc.eportal esu update."
    elif period and time.time() - found.mirrored > _PATIENCE * period:
        advice = "Updates fail: the log of the portal says why, as does kc.eportal esu update."
    finding = f"{found.packages} packages, mirrored {shown_time(found.mirrored) or 'never'}"
    if found.incomplete:
        finding += ", incomplete"
    return Check(f"esu {repository.name}", not advice, finding, advice)


def _update(portal: Portal) -> str:
    """Update all repositories; returns what was done.

    Raises:
        UpstreamError: one of them could not be updated; the others were.
    """
    from eportal_esu_repo.update import update

    done = dict(update(portal))
    said = "; ".join(f"{name}: {outcome}" for name, outcome in done.items())
    if any(isinstance(outcome, PortalError) for outcome in done.values()):
        raise UpstreamError(said)
    return said
