"""``LDAP_CONNECTION``: the name by which a user binds."""

from __future__ import annotations

import re

from eportal_core import InvalidValue

PLACE = "%s"
#: A distinguished name begins with a type, a word or numbers with dots. Source: RFC 4514, 3.
_DN = re.compile(r"\s*[A-Za-z0-9][A-Za-z0-9.-]*\s*=")
#: What no account name has where names are not DNs, and could make another name of it.
#: Source: the attribute sAMAccountName of Active Directory.
_NOT_IN_ACCOUNTS = frozenset('"/\\[]:;|=,+*?<>#')


def check_template(template: str) -> str:
    """``template``, if a name can be made of it.

    Raises:
        InvalidValue: there is no place for the user name: all would bind as one.
    """
    if PLACE not in template:
        raise InvalidValue(
            "LDAP_CONNECTION must have %s where the user name belongs, "
            "such as uid=%s,dc=example,dc=com."
        )
    return template


def bind_name(template: str, name: str) -> str | None:
    """The name by which ``name`` binds; None when it cannot be that of an account."""
    from eportal_auth_ldap.client import escape_rdn

    if _DN.match(template):
        return template.replace(PLACE, escape_rdn(name))
    # Alone, it may be as Active Directory has it: user@domain.
    other_domain = "@" in name and template.strip() != PLACE
    if other_domain or not _NOT_IN_ACCOUNTS.isdisjoint(name):
        return None
    return template.replace(PLACE, name)
