"""The settings of single sign-on, and what they say of the portal and its identity provider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eportal_core import Portal, Setting

_ENDPOINTS = ("OIDC_AUTH_URL", "OIDC_TOKEN_URL", "OIDC_USERINFO_URL")


@dataclass(frozen=True)
class Client:
    """This portal as the provider knows it, and where the provider is.

    discovery: None when the addresses are set one by one. secret: None for a public client.
    admin_group: whose members are administrators, None when the portal decides.
    """

    id: str
    secret: str | None = field(repr=False)
    discovery: str | None
    auth_url: str | None
    token_url: str | None
    userinfo_url: str | None
    logout_url: str | None
    scopes: tuple[str, ...]
    username_claim: str
    groups_claim: str
    admin_group: str | None

    def addresses(self) -> dict[str, str]:
        """The addresses that are set, by setting."""
        found = {
            "OIDC_DISCOVERY_URL": self.discovery,
            "OIDC_AUTH_URL": self.auth_url,
            "OIDC_TOKEN_URL": self.token_url,
            "OIDC_USERINFO_URL": self.userinfo_url,
            "OIDC_LOGOUT_URL": self.logout_url,
        }
        return {name: address for name, address in found.items() if address is not None}


def settings() -> Sequence[Setting]:
    from eportal_core import Setting

    return [
        Setting(
            "OIDC_DISCOVERY_URL",
            str,
            None,
            "Address of the identity provider for single sign-on, below which it has "
            "/.well-known/openid-configuration. It tells the other addresses.",
        ),
        Setting("OIDC_AUTH_URL", str, None, "Address of the provider's login, /authorize."),
        Setting("OIDC_TOKEN_URL", str, None, "Address at which the provider gives tokens, /token."),
        Setting(
            "OIDC_USERINFO_URL",
            str,
            None,
            "Address at which the provider tells who a user is, /userinfo.",
        ),
        Setting(
            "OIDC_LOGOUT_URL",
            str,
            None,
            "Address of the provider's logout, where a user goes who logs out of the portal.",
        ),
        Setting("OIDC_CLIENT_ID", str, None, "Name of this portal at the identity provider."),
        Setting(
            "OIDC_CLIENT_SECRET",
            str,
            None,
            "Password that goes with OIDC_CLIENT_ID. Not set, the portal is a public client.",
            secret=True,
        ),
        Setting(
            "OIDC_SCOPES",
            list,
            ["openid", "profile", "email"],
            "What the portal asks the provider for; many need another scope to tell the groups.",
        ),
        Setting(
            "OIDC_USERNAME_CLAIM",
            str,
            "preferred_username",
            "What of the provider's words about a user is the user name, for example email.",
        ),
        Setting(
            "OIDC_GROUPS_CLAIM",
            str,
            "groups",
            "What of the provider's words about a user is the list of groups.",
        ),
        Setting(
            "OIDC_ADMIN_GROUP",
            str,
            None,
            "Group whose members are administrators; all others are readonly then, from their next "
            "login on. Not set, a new user is readonly until an administrator says otherwise.",
        ),
    ]


def configured(portal: Portal) -> Client | None:
    """The client; None when single sign-on is not set up, or not completely."""
    config = portal.config
    if missing(portal) or config["OIDC_CLIENT_ID"] is None:
        return None
    return Client(
        id=config["OIDC_CLIENT_ID"],
        secret=config["OIDC_CLIENT_SECRET"],
        discovery=config["OIDC_DISCOVERY_URL"],
        auth_url=config["OIDC_AUTH_URL"],
        token_url=config["OIDC_TOKEN_URL"],
        userinfo_url=config["OIDC_USERINFO_URL"],
        logout_url=config["OIDC_LOGOUT_URL"],
        scopes=tuple(config["OIDC_SCOPES"]),
        username_claim=config["OIDC_USERNAME_CLAIM"],
        groups_claim=config["OIDC_GROUPS_CLAIM"],
        admin_group=config["OIDC_ADMIN_GROUP"],
    )


def missing(portal: Portal) -> list[str]:
    """Settings without which those that are set are of no use; empty when none is set."""
    names = ("OIDC_DISCOVERY_URL", "OIDC_CLIENT_ID", *_ENDPOINTS)
    is_set = {name: portal.config[name] is not None for name in names}
    if not any(is_set.values()):
        return []
    needed = ["OIDC_CLIENT_ID"]
    if not is_set["OIDC_DISCOVERY_URL"]:
        needed += _ENDPOINTS
    return [name for name in needed if not is_set[name]]
