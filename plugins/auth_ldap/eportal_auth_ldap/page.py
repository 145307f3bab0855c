"""The page of the LDAP settings, and the test of a login there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eportal_auth_ldap.errors import Fault, Refusal
from eportal_auth_ldap.login import log_in
from eportal_auth_ldap.settings import directory_of
from eportal_core import Check, Portal, SettingsPage, SettingsTest


def pages() -> Sequence[SettingsPage]:
    return [
        SettingsPage(
            "LDAP",
            "/admin/settings/ldap",
            {
                "LDAP_URL": "Address",
                "LDAP_CONNECTION": "Name to bind with",
                "LDAP_FILTER": "Filter",
                "LDAP_CA_FILE": "File of certificates",
            },
            "Users of an LDAP directory may log in here, too. A user whom the portal itself knows "
            "is never looked for there.",
            SettingsTest(
                "Test login", test_login, {"user": "User name", "password": "Password of the user"}
            ),
        )
    ]


def test_login(portal: Portal, typed: Mapping[str, str]) -> Sequence[Check]:
    """The steps of a login, as ``kc.eportal ldap test`` tells them; adds no user."""
    steps: list[Check] = []
    try:
        directory = directory_of(portal)
        if directory is None:
            raise Fault("settings", "LDAP_URL is not set")
        name = log_in(
            directory,
            typed["user"],
            typed["password"],
            lambda step, finding: steps.append(Check(step, True, finding)),
        )
    except (Fault, Refusal) as error:
        return [*steps, Check(error.step, False, error.reason)]
    return [*steps, Check("login", True, f"{name} may log in")]
