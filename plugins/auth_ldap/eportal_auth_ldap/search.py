"""``LDAP_FILTER``: ``<base>??<scope>?<filter>``, a part of an LDAP URL (RFC 4516)."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from eportal_auth_ldap.template import PLACE
from eportal_core import InvalidValue

SCOPES = ("base", "one", "sub")
#: Source of the defaults: RFC 4516, 2.
_SCOPE = "base"
_FILTER = "(objectClass=*)"


@dataclass(frozen=True)
class Search:
    """What is searched; base and filter have ``%s`` where the user name belongs."""

    base: str
    scope: str
    filter: str

    def filled(self, name: str) -> Search:
        """The same for one user; the name is escaped as its places need it."""
        from eportal_auth_ldap.client import escape_rdn

        base = self.base.replace(PLACE, escape_rdn(name))
        return Search(base, self.scope, _fill_filter(self.filter, name))


def parse_search(text: str) -> Search:
    """What ``text`` says.

    Raises:
        InvalidValue: it is no such search.
    """
    base, attributes, scope, wanted = [*text.strip().split("?", 3), "", "", ""][:4]
    if attributes:
        raise InvalidValue(
            "LDAP_FILTER must be <base>??<scope>?<filter>, with nothing between the first two "
            "question marks."
        )
    if scope.lower() not in ("", *SCOPES):
        raise InvalidValue(f"The scope in LDAP_FILTER must be one of {', '.join(SCOPES)}.")
    wanted = wanted or _FILTER
    if not wanted.startswith("("):
        raise InvalidValue("The filter in LDAP_FILTER must stand in brackets, such as (ou=staff).")
    try:
        return Search(
            unquote(base, errors="strict"),
            scope.lower() or _SCOPE,
            unquote(wanted, errors="strict"),
        )
    except UnicodeDecodeError:
        raise InvalidValue("LDAP_FILTER has a percent sign and digits that are no UTF-8.") from None


def _fill_filter(text: str, name: str) -> str:
    """``text`` with the name in it: in a value that is a DN, it is escaped for that first."""
    from eportal_auth_ldap.client import escape_filter_chars, escape_rdn

    first, *parts = text.split(PLACE)
    template, filled = first, first
    for part in parts:
        value = template.rpartition("(")[2].partition("=")[2]
        filled += escape_filter_chars(escape_rdn(name) if "=" in value else name) + part
        template += PLACE + part
    return filled
