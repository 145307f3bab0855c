"""Who a user is: asked of the authentication backends, which are plugins."""

from __future__ import annotations

import logging

from eportal_core.errors import AccessDenied, PluginError
from eportal_core.portal import Portal
from eportal_core.types import Identity

log = logging.getLogger("eportal.auth")


def authenticate(portal: Portal, username: str, password: str) -> Identity:
    """The user whom a backend knows by this name and password.

    Raises:
        AccessDenied: the name or the password is not known to any of them.
        PluginError: a backend failed; why, is in the log alone.
    """
    # Some directories take an empty password for an anonymous login, and let it in.
    if username and password:
        try:
            identity: Identity | None = portal.ask(
                "eportal_authenticate", portal=portal, username=username, password=password
            )
        except (PluginError, OSError) as error:
            log.error("%s", error)
            raise PluginError("Users cannot be looked up; the portal's log says why.") from None
        if identity is not None:
            return identity
    raise AccessDenied("The name or the password is wrong.")
