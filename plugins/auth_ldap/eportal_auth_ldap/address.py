"""``LDAP_URL``: ``<scheme>://<host>[:port][?params]``."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal

from eportal_core import InvalidValue

_PORTS = {"ldap": 389, "ldaps": 636}
_URL = re.compile(
    r"(?P<scheme>[a-z]+)://(?P<host>\[[0-9a-fA-F:.]+\]|[^\s/?#\[\]@:,]+)"
    r"(:(?P<port>[0-9]{1,5}))?/?(\?(?P<params>.*))?",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
#: Source: RFC 1123; underscores are seen in the wild.
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})")
_TIMEOUT = 5
_TIMEOUT_MAX = 300
_SWITCH = {"0": False, "1": True}


@dataclass(frozen=True)
class Address:
    """A server and how to speak to it.

    tls: ``ldaps`` from the first byte, ``starttls`` before the first request, or None. strict:
    whether its certificate is checked. timeout: seconds that a whole login may take.
    """

    host: str
    port: int
    tls: Literal["ldaps", "starttls"] | None = "starttls"
    strict: bool = True
    timeout: int = _TIMEOUT

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'ldaps' if self.tls == 'ldaps' else 'ldap'}://{host}:{self.port}"

    @property
    def protection(self) -> str:
        """How names and passwords are kept from others on their way, in words."""
        if self.tls is None:
            return "nothing is encrypted"
        name = "LDAPS" if self.tls == "ldaps" else "StartTLS"
        return name if self.strict else f"{name}, certificates are not checked"


def parse_address(url: str) -> Address:
    """What ``url`` says.

    Raises:
        InvalidValue: it is no such address.
    """
    found = _URL.fullmatch(url.strip())
    scheme = found["scheme"].lower() if found else ""
    if found is None or scheme not in _PORTS:
        raise InvalidValue(
            "LDAP_URL must be <scheme>://<host>[:port][?params] with the scheme ldap or ldaps, "
            "such as ldap://ldap.example.com?timeout=30."
        )
    params = _params(found["params"] or "")
    tls: Literal["ldaps", "starttls"] | None = "ldaps" if scheme == "ldaps" else "starttls"
    if scheme == "ldap" and not _switch(params, "tls"):
        tls = None
    return Address(
        _host(found["host"]),
        _number("port", found["port"] or str(_PORTS[scheme]), 65535),
        tls,
        _switch(params, "strict_check"),
        _number("timeout", params.get("timeout", str(_TIMEOUT)), _TIMEOUT_MAX),
    )


def _host(text: str) -> str:
    if text.startswith("["):
        try:
            return str(ipaddress.IPv6Address(text[1:-1]))
        except ValueError:
            raise InvalidValue(f"LDAP_URL names no host: {text} is no IPv6 address.") from None
    if not _HOST.fullmatch(text):
        raise InvalidValue(f"LDAP_URL names no host: {text[:80]!r} cannot be one.")
    return text


def _params(query: str) -> dict[str, str]:
    params: dict[str, str] = {}
    for pair in query.split("&") if query else []:
        name, _, value = pair.partition("=")
        if name not in ("strict_check", "tls", "timeout"):
            raise InvalidValue(
                f"LDAP_URL has no parameter {name[:80]!r}; there are strict_check, tls and timeout."
            )
        if name in params:
            raise InvalidValue(f"LDAP_URL has the parameter {name} twice.")
        params[name] = value
    return params


def _switch(params: dict[str, str], name: str) -> bool:
    value = params.get(name, "1")
    if value not in _SWITCH:
        raise InvalidValue(f"The parameter {name} of LDAP_URL must be 0 or 1.")
    return _SWITCH[value]


def _number(name: str, text: str, most: int) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 1 <= number <= most:
        raise InvalidValue(f"The {name} in LDAP_URL must be a whole number from 1 to {most}.")
    return number
