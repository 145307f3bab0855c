"""By which address the portal was asked: what agents and scripts are told to call.

A Host header is whatever the client wrote, and what is answered here ends in shell scripts that
root runs. It counts only when a trusted proxy passed it on, and only if it names a host.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from starlette.requests import Request

from eportal_core.config import Config
from eportal_core.errors import ConfigError, InvalidValue
from eportal_core.portal import Portal
from eportal_core.web.proxies import FROM_TRUSTED_PROXY

#: What a proxy may say in X-Forwarded-Proto for a connection that could become a web socket.
_SOCKETS = {"ws": "http", "wss": "https"}
_DEFAULT_PORTS = {"http": 80, "https": 443}
#: Source: RFC 1123, 2.1: letters, digits and hyphens, a hyphen neither first nor last.
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NAME_MAX = 253
#: A host, and maybe a port. Source: RFC 3986, 3.2.2, without user names, zones and escapes.
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::([0-9]{1,5}))?")


def public_address(request: Request, portal: Portal) -> str:
    """``scheme://host[:port]`` by which ``request`` reached the portal, without a slash at the end.

    ``PORTAL_URL`` where it is set. Otherwise what a trusted proxy says in ``Host`` and
    ``X-Forwarded-Proto``; from anybody else, the address of the socket itself. It consists of
    letters, digits and ``.-:[]/`` alone, so that a script may hold it.

    Raises:
        InvalidValue: a trusted proxy passes on a Host header that names no host.
    """
    if configured := configured_address(portal.config):
        return configured
    scheme: str = request.scope["scheme"]
    scheme = _SOCKETS.get(scheme, scheme)
    hosts = request.headers.getlist("host") if request.scope.get(FROM_TRUSTED_PROXY) else []
    if len(hosts) > 1:
        raise InvalidValue("The request has more than one Host header.")
    if hosts and hosts[0]:
        host, port = _host_and_port(hosts[0])
    else:
        host, port = _socket(request)
    return _address(scheme, host, port)


def configured_address(config: Config) -> str | None:
    """``PORTAL_URL`` in its plain form; None when it is not set.

    Raises:
        ConfigError: it is more, or less, than a scheme and a host.
    """
    text: str | None = config["PORTAL_URL"]
    if text is None:
        return None
    scheme, separator, rest = text.partition("://")
    try:
        if not separator or scheme not in _DEFAULT_PORTS:
            raise InvalidValue
        return _address(scheme, *_host_and_port(rest.removesuffix("/")))
    except InvalidValue:
        raise ConfigError(
            "PORTAL_URL must be a scheme and a host, such as https://eportal.example.com, "
            "without a path."
        ) from None


def _host_and_port(text: str) -> tuple[str, int | None]:
    found = _HOST.fullmatch(text.lower())
    host, digits = found.groups() if found else ("", None)
    if not _is_host(host) or (digits is not None and not 1 <= int(digits) <= 65535):
        raise InvalidValue("The Host header of the request does not name a host.")
    return host, None if digits is None else int(digits)


def _is_host(host: str) -> bool:
    try:
        if host.startswith("["):
            IPv6Address(host[1:-1])
        elif host.rpartition(".")[2].isdecimal():
            IPv4Address(host)
        else:
            return len(host) <= _NAME_MAX and _NAME.fullmatch(host) is not None
    except AddressValueError:
        return False
    return True


def _socket(request: Request) -> tuple[str, int | None]:
    """The address of the portal's own end of the connection."""
    host, port = request.scope["server"]
    try:
        # A zone names an interface of this machine, which means nothing to another one.
        address = IPv6Address(host.partition("%")[0])
    except AddressValueError:
        return host, port
    return str(address.ipv4_mapped or f"[{address}]"), port


def _address(scheme: str, host: str, port: int | None) -> str:
    if port is None or port == _DEFAULT_PORTS.get(scheme):
        return f"{scheme}://{host}"
    return f"{scheme}://{host}:{port}"
