"""Users of an LDAP directory: who can bind there may log in here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from eportal_core import hookimpl

if TYPE_CHECKING:
    import click

    from eportal_core import Check, Identity, Portal, Setting, SettingsPage

#: The name of the backend, as users have it.
BACKEND = "ldap"


class LdapPlugin:
    """The hooks of a backend behind the network: it is asked last."""

    @hookimpl
    def eportal_settings(self) -> Sequence[Setting]:
        from eportal_auth_ldap.settings import settings

        return settings()

    @hookimpl
    def eportal_commands(self, cli: click.Group) -> None:
        from eportal_auth_ldap.commands import add_commands

        add_commands(cli)

    @hookimpl
    def eportal_settings_pages(self, portal: Portal) -> Sequence[SettingsPage]:
        from eportal_auth_ldap.page import pages

        return pages()

    @hookimpl
    def eportal_checks(self, portal: Portal) -> Sequence[Check]:
        from eportal_auth_ldap.doctor import checks

        return checks(portal)

    @hookimpl(trylast=True)
    def eportal_authenticate(self, portal: Portal, username: str, password: str) -> Identity | None:
        from eportal_auth_ldap.backend import authenticate

        return authenticate(portal, username, password)


plugin = LdapPlugin()
