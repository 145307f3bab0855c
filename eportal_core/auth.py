"""Who a user is: asked of the authentication backends, which are plugins."""

from __future__ import annotations

from eportal_core.errors import AccessDenied
from eportal_core.portal import Portal
from eportal_core.types import Identity


def authenticate(portal: Portal, username: str, password: str) -> Identity:
    """The user whom a backend knows by this name and password.

    Raises:
        AccessDenied: the name or the password is not known to any of them.
    """
    # Some directories take an empty password for an anonymous login, and let it in.
    if username and password:
        identity: Identity | None = portal.hook.eportal_authenticate(
            portal=portal, username=username, password=password
        )
        if identity is not None:
            return identity
    raise AccessDenied("The name or the password is wrong.")
