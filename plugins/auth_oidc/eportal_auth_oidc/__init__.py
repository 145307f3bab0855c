"""Single sign-on: users who are known to an OpenID Connect identity provider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from eportal_core import Page, hookimpl

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from eportal_core import Caller, Check, Portal, Setting, SettingsPage

#: The backend of its users.
BACKEND = "oidc"
LOGIN = "/admin/sso/login"
CALLBACK = "/admin/sso/login/callback"
LOGOUT = "/admin/sso/logout"


class OidcPlugin:
    """The hooks of a backend that is another site."""

    @hookimpl
    def eportal_settings(self) -> Sequence[Setting]:
        from eportal_auth_oidc.settings import settings

        return settings()

    @hookimpl
    def eportal_login_links(self, portal: Portal) -> Sequence[Page]:
        from eportal_auth_oidc.settings import configured

        return [Page("Sign In with SSO", LOGIN)] if configured(portal) else []

    @hookimpl
    def eportal_routes(self, portal: Portal) -> Sequence[BaseRoute]:
        from eportal_auth_oidc.routes import routes
        from eportal_auth_oidc.settings import configured

        client = configured(portal)
        return routes(portal, client) if client else []

    @hookimpl
    def eportal_logout(self, portal: Portal, caller: Caller) -> str | None:
        from eportal_auth_oidc.settings import configured

        return LOGOUT if caller.backend == BACKEND and configured(portal) else None

    @hookimpl
    def eportal_settings_pages(self, portal: Portal) -> Sequence[SettingsPage]:
        from eportal_auth_oidc.page import pages

        return pages()

    @hookimpl
    def eportal_checks(self, portal: Portal) -> Sequence[Check]:
        from eportal_auth_oidc.checks import checks

        return checks(portal)


plugin = OidcPlugin()
