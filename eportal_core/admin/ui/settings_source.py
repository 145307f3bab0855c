"""``/admin/settings/source``: where patchsets come from, and whom that is believed of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.responses import Response

from eportal_core import db
from eportal_core.admin.api.operation import Access
from eportal_core.admin.ui.counting import counted
from eportal_core.admin.ui.settings import views_of
from eportal_core.admin.ui.settings_pages import SOURCE
from eportal_core.admin.ui.visit import View, Visit
from eportal_core.config import Config
from eportal_core.errors import NoSource, PortalError, SourceRefused, UpstreamError
from eportal_core.models import Offer
from eportal_core.operations import updates
from eportal_core.operations.trust import pin
from eportal_core.portal import Portal
from eportal_core.source.client import last_refresh, open_place, open_source
from eportal_core.types import Check, SettingsPage, SettingsTest

_PATH = "/settings/source"
#: As public documentation of the original calls them; its patch source may have others.
_DISTROS = (
    *("almalinux8", "almalinux8-arm64", "almalinux9", "almalinux9-arm64", "almalinux10"),
    *("amazon", "centos6", "centos7", "centos8", "cl6", "cl7", "cl8", "custom"),
    *("debian8", "debian9", "debian10", "debian11", "debian11-cloud", "debian12"),
    *("oel6", "oel7", "oel8", "oel9", "oel9-uek7", "oel10", "openvz", "pve", "raspberrypi"),
    *("rhel6", "rhel7", "rhel8", "rhel8-arm64", "rhel9", "rhel10"),
    *("rockylinux8", "rockylinux9", "rockylinux10", "rpios-arm64", "sl6"),
    *("ubuntu14.04", "ubuntu16.04", "ubuntu18.04", "ubuntu20.04", "ubuntu22.04", "ubuntu24.04"),
)


@dataclass(frozen=True)
class Trust:
    """fingerprint: of what is trusted, empty when nothing is. decided: what says so.

    can_pin: whether the page may say otherwise.
    """

    fingerprint: str
    decided: str
    can_pin: bool


def source_page(portal: Portal) -> SettingsPage:
    """The page; what may be ticked is what the source has, too."""
    offered = {
        name for (names,) in db.rows(Offer.select(Offer.distros).distinct()) for name in names
    }
    return SettingsPage(
        "Patch source",
        SOURCE,
        {
            "PATCH_SOURCE_URL": "Address or directory",
            "PATCH_SOURCE_USER": "User name",
            "PATCH_SOURCE_PASSWORD": "Password",
            "PATCH_SOURCE_DISTROS": "Distributions",
        },
        "Where this portal fetches patchsets from. Nothing is fetched before it is trusted.",
        SettingsTest("Test connection", _try),
        {"PATCH_SOURCE_DISTROS": (*_DISTROS, *sorted(offered - set(_DISTROS)))},
    )


def ask_trust(visit: Visit) -> Response:
    """The fingerprint that the source has, to be compared."""
    from eportal_core.source import trust

    try:
        with open_place(visit.portal) as place:
            found = trust.fingerprint(trust.first_root(place))
            name = str(place)
    except PortalError as error:
        return visit.go(_PATH, str(error), "error")
    return visit.page(
        "settings_trust.html",
        title="Trust this patch source?",
        place=name,
        fingerprint=found,
        now=_trust(visit.portal.config),
    )


def do_trust(visit: Visit) -> Response:
    """Trust what was shown, if the source still is that one."""
    from eportal_core.source import trust

    if not visit.text("compared"):
        told = "Compare the fingerprint first, and say so: nothing is trusted yet."
        return visit.go(f"{_PATH}/trust", told, "error")
    try:
        wanted = trust.checked_fingerprint(visit.text("fingerprint"))
        with open_place(visit.portal) as place:
            root = trust.by_fingerprint(place, wanted)
        pin(visit.portal, root)
    except PortalError as error:
        return visit.go(_PATH, str(error), "error")
    return visit.go(_PATH, f"The patch source with the fingerprint {wanted} is trusted.")


def _more(visit: Visit) -> dict[str, Any]:
    portal = visit.portal
    return {"trust": _trust(portal.config), "last_read": last_refresh(portal)}


def _trust(config: Config) -> Trust:
    from eportal_core.source import trust

    file, wanted = config.value(trust.ROOT), config.value(trust.FINGERPRINT)
    if file.value:
        try:
            found = trust.fingerprint(trust.read_root(Path(str(file.value))))
        except PortalError as error:
            return Trust("", str(error), False)
        return Trust(found, f"{trust.ROOT} decides: the file {file.value}.", False)
    if wanted.value:
        return Trust(str(wanted.value), f"{trust.FINGERPRINT} decides ({wanted.source}).", False)
    found = trust.kept_fingerprint(config) or ""
    return Trust(found, "An administrator compared it." if found else "", True)


def _try(portal: Portal, typed: Mapping[str, str]) -> Iterator[Check]:
    from eportal_core.source import trust
    from eportal_core.source.places import Web

    config = portal.config
    try:
        with open_place(portal) as place:
            yield Check("settings", True, str(place))
            try:
                trust.first_root(place)
            except SourceRefused:
                raise
            except UpstreamError as error:
                yield Check(_failed_at(error), False, str(error))
                return
            yield Check("connection", True, "it answers")
            if config["PATCH_SOURCE_USER"] and isinstance(place, Web):
                yield Check("login", True, f"{config['PATCH_SOURCE_USER']} is let in")
            found = trust.fingerprint(trust.pinned(config, place))
            yield Check("trust", True, f"it is the one with the fingerprint {found}")
        with open_source(portal) as source:
            listed = updates.refresh(portal, source)
        yield Check("content", True, f"{counted(len(listed), 'patchset')} listed")
    except NoSource as error:
        yield Check("trust" if config["PATCH_SOURCE_URL"] else "settings", False, str(error))
    except SourceRefused as error:
        yield Check("trust", False, str(error))


def _failed_at(error: UpstreamError) -> str:
    if error.answered in (401, 403):
        return "login"
    return "content" if error.answered else "connection"


VIEWS = (
    View("GET", f"{_PATH}/trust", Access.ADMIN, ask_trust),
    View("POST", f"{_PATH}/trust", Access.ADMIN, do_trust),
    *views_of(SOURCE, source_page, "settings_source.html", _more),
)
