"""Where the directory is and whom it lets in, as the runtime configuration says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eportal_auth_ldap.address import Address, parse_address
from eportal_auth_ldap.errors import Fault
from eportal_auth_ldap.search import Search, parse_search
from eportal_auth_ldap.template import check_template
from eportal_core import InvalidValue, Portal, Setting


@dataclass(frozen=True)
class Directory:
    """Everything that is set. template: the name to bind with, ``%s`` for the user's.

    search: what must find something, None when every user of the directory is let in.
    ca_file: who may have signed the server's certificate; None: whom the system trusts.
    """

    address: Address
    template: str
    search: Search | None
    ca_file: str | None


def settings() -> Sequence[Setting]:
    """The settings of this plugin."""
    return [
        Setting(
            "LDAP_URL",
            str,
            None,
            "Address of the LDAP directory, <scheme>://<host>[:port][?params]: ldap:// with "
            "StartTLS, or ldaps://; the parameters are strict_check=0 (certificates are not "
            "checked), tls=0 (nothing is encrypted) and timeout=30 (seconds, 5 by default), put "
            "together by &. Not set, no directory is asked.",
            runtime=True,
            check=parse_address,
        ),
        Setting(
            "LDAP_CONNECTION",
            str,
            None,
            "Name by which a user binds, with %s where the user name belongs, for example "
            "uid=%s,dc=example,dc=com; Active Directory also takes %s@example.com.",
            runtime=True,
            check=check_template,
        ),
        Setting(
            "LDAP_FILTER",
            str,
            None,
            "Search that must find something for a user to be let in, <base>??<scope>?<filter>, "
            "with %s where the user name belongs; the scope is base (the default), one or sub. "
            "Not set, every user of the directory is let in.",
            runtime=True,
            check=parse_search,
        ),
        Setting(
            "LDAP_CA_FILE",
            str,
            None,
            "File with the certificates, in PEM, of those who may have signed that of the LDAP "
            "server. Not set, those whom the system trusts.",
            absolute=True,
            runtime=True,
        ),
    ]


def directory_of(portal: Portal) -> Directory | None:
    """The directory that is set, if there is one.

    Raises:
        Fault: a setting is wrong or missing.
    """
    url, template, search, ca_file = (
        portal.config[f"LDAP_{name}"] for name in ("URL", "CONNECTION", "FILTER", "CA_FILE")
    )
    if not url:
        return None
    try:
        return Directory(
            parse_address(url),
            check_template(template or ""),
            parse_search(search) if search else None,
            ca_file,
        )
    except InvalidValue as error:
        raise Fault("settings", str(error).removesuffix(".")) from None
