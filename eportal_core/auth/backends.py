"""Who a user is, by name and password: local users first, then the plugins' backends."""

from __future__ import annotations

import logging

from eportal_core.auth import passwords
from eportal_core.errors import AccessDenied, PluginError, UpstreamError
from eportal_core.models import LOCAL, User
from eportal_core.operations import users
from eportal_core.portal import Portal
from eportal_core.types import Identity

log = logging.getLogger("eportal.auth")

_WRONG = "The name or the password is wrong."


def authenticate(portal: Portal, username: str, password: str) -> User:
    """The user of this name and password; one whom a backend knows and who is new here is added.

    The password of a local user is asked of nobody else, right or wrong. Every refusal takes the
    time of one hash, whether there is such a user or not.

    Raises:
        AccessDenied: the name or the password is not known to any of them.
        PluginError: a backend failed; why, is in the log alone.
    """
    # Some directories take an empty password for an anonymous login, and let it in.
    if not username or not password:
        raise AccessDenied(_WRONG)
    if len(username) > users.NAME_MAX_LENGTH or len(password) > users.PASSWORD_MAX_LENGTH:
        raise AccessDenied(_WRONG)
    known = users.find(username)
    if known is not None and known.backend == LOCAL:
        if passwords.is_right(password, known.password):
            return known
        raise AccessDenied(_WRONG)
    try:
        identity = _ask(portal, username, password)
    except AccessDenied:
        passwords.is_right(password, "")
        raise
    if identity is None:
        passwords.is_right(password, "")
        raise AccessDenied(_WRONG)
    return users.known_by(portal, identity)


def _ask(portal: Portal, username: str, password: str) -> Identity | None:
    """Raises: AccessDenied, PluginError: as from ``authenticate``."""
    try:
        found: Identity | None = portal.ask(
            "eportal_authenticate", portal=portal, username=username, password=password
        )
    except (PluginError, UpstreamError, OSError) as error:
        log.error("%s", error)
        raise PluginError("Users cannot be looked up; the portal's log says why.") from None
    return found
