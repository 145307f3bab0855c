"""What ``kc.eportal doctor`` says of the directory, when one is set."""

from __future__ import annotations

from collections.abc import Sequence

from eportal_auth_ldap import BACKEND
from eportal_auth_ldap.errors import Fault
from eportal_auth_ldap.login import client_of
from eportal_auth_ldap.settings import directory_of
from eportal_core import Check, Portal

_ADVICE = "Correct the LDAP settings, and see what kc.eportal ldap test USER says."


def checks(portal: Portal) -> Sequence[Check]:
    """Whether the server can be reached and trusted; nobody logs in."""
    try:
        directory = directory_of(portal)
        if directory is None:
            return []
        with client_of(directory):
            finding = f"{directory.address} answers; {directory.address.protection}"
    except Fault as fault:
        return [Check(BACKEND, False, f"{fault.step}: {fault.reason}", _ADVICE)]
    return [Check(BACKEND, True, finding)]
