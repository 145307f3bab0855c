"""What the portal asks at a login: is this a user of the directory."""

from __future__ import annotations

import logging

from eportal_auth_ldap import BACKEND
from eportal_auth_ldap.errors import Refusal
from eportal_auth_ldap.login import log_in
from eportal_auth_ldap.settings import directory_of
from eportal_core import Identity, Portal

log = logging.getLogger("eportal.ldap")


def authenticate(portal: Portal, username: str, password: str) -> Identity | None:
    """The user, if the directory lets him in; None when no directory is set, or it says no.

    To a bind, a directory says the same of a name that it does not know and of a wrong password:
    that is None, so that a further backend may know the name.

    Raises:
        AccessDenied: name and password are right, and LDAP_FILTER keeps the user out.
        UpstreamError: the directory cannot be asked.
    """
    directory = directory_of(portal)
    if directory is None:
        return None
    try:
        name = log_in(directory, username, password)
    except Refusal as refusal:
        if refusal.is_known:
            log.info("A login was refused (%s): %s", refusal.step, refusal.reason)
            raise
        # Without the name, which may be a password that was typed in its place.
        log.info("A login was refused (%s): %s", refusal.step, refusal.words or "no such name")
        return None
    return Identity(name, BACKEND, description="LDAP")
