"""The page that shows the settings of single sign-on, and tries the provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eportal_auth_oidc.checks import checks
from eportal_core import Check, Portal, SettingsPage, SettingsTest


def pages() -> Sequence[SettingsPage]:
    return [
        SettingsPage(
            "Single sign-on",
            "/admin/settings/sso",
            {
                "OIDC_DISCOVERY_URL": "Address of the provider",
                "OIDC_AUTH_URL": "Address of its login",
                "OIDC_TOKEN_URL": "Address of its tokens",
                "OIDC_USERINFO_URL": "Address of what it knows of users",
                "OIDC_LOGOUT_URL": "Address of its logout",
                "OIDC_CLIENT_ID": "Name of this portal there",
                "OIDC_CLIENT_SECRET": "Password of this portal there",
                "OIDC_SCOPES": "Scopes",
                "OIDC_USERNAME_CLAIM": "Claim of the user name",
                "OIDC_GROUPS_CLAIM": "Claim of the groups",
                "OIDC_ADMIN_GROUP": "Group of administrators",
            },
            "Users of an OpenID Connect identity provider may log in here, too.",
            SettingsTest("Test provider", test_provider),
        )
    ]


def test_provider(portal: Portal, typed: Mapping[str, str]) -> Sequence[Check]:
    """What ``kc.eportal doctor`` says of the provider; nobody logs in."""
    unset = Check("settings", False, "single sign-on is not set up")
    return checks(portal) or [unset]
