"""The proxy by which requests of the portal leave: PROXY, else what the environment says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, quote, unquote, urlsplit

import requests
from requests.utils import get_environ_proxies, should_bypass_proxies

from eportal_core.errors import InvalidValue

if TYPE_CHECKING:
    from eportal_core.config import Config

#: With socks5, names of hosts are looked up here, with socks5h by the proxy.
SCHEMES = ("http", "https", "socks5", "socks5h")
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
#: Bytes of a user name or password that PySocks sends right.
_LONGEST_FOR_SOCKS = 127
#: How http.client tells what a proxy answered to CONNECT.
_TUNNEL = re.compile(r"Tunnel connection failed: (\d+) *(.*)")
#: What proxies answer to a wrong password: tinyproxy says 401.
_REFUSED = (401, 407)


def configured_proxy(config: Config) -> str | None:
    """The setting PROXY as requests takes it, its user name and password quoted.

    Raises:
        InvalidValue: it is no address of a proxy; the sentence does not quote it.
    """
    address = config["PROXY"]
    return None if address is None else _checked(address)


def proxies_for(url: str, proxy: str | None) -> dict[str, str]:
    """How ``url`` is reached, as ``proxies`` of requests.

    ``proxy`` wins over the environment, but not over its NO_PROXY.
    """
    if proxy is None:
        return dict(get_environ_proxies(url))
    return {} if should_bypass_proxies(url, no_proxy=None) else {"all": proxy}


def without_password(proxy: str) -> str:
    """The address of a proxy as anybody may see it."""
    scheme, _, rest = proxy.rpartition("://")
    return f"{scheme or 'http'}://{rest.rpartition('@')[2]}"


def wants_credentials(error: BaseException) -> bool:
    """Whether a proxy refused the user name and password: asked again, it might lock the user."""
    return any(_status(cause) in _REFUSED or _is_socks_refusal(cause) for cause in _causes(error))


def fault(error: BaseException, proxy: str) -> str | None:
    """What ``proxy`` has to do with it, as the end of a sentence; None when nothing.

    The password stands in none of it.
    """
    name = f"the proxy {without_password(proxy)}"
    if wants_credentials(error):
        return credentials_refused(proxy)
    causes = list(_causes(error))
    for cause in causes:
        if found := _TUNNEL.search(str(cause)):
            return f"{name} answered {' '.join(found.groups())}".rstrip()
    if _credentials(proxy) and any(_credentials(proxy) in str(cause) for cause in causes):
        return "the address of the proxy cannot be read"
    if proxy.startswith("socks"):
        return _socks_fault(causes, name)
    if isinstance(error, requests.exceptions.ProxyError):
        return f"{name} cannot be reached: {_told(causes[-1])}"
    return None


def credentials_refused(proxy: str) -> str:
    """That ``proxy`` does not know who asks, as the end of a sentence."""
    return f"the proxy {without_password(proxy)} wants a user name and password, or other ones"


def _checked(address: str) -> str:
    try:
        parts = urlsplit(address)
        good = (
            parts.scheme in SCHEMES
            and _HOST.fullmatch(parts.hostname or "")
            and parts.port != 0
            and not (parts.path.strip("/") or parts.query or parts.fragment)
        )
    except ValueError:
        good = False
    if not good:
        raise InvalidValue(
            "PROXY must be an address such as http://proxy.example.com:3128, with http, https, "
            "socks5 or socks5h in front; in a user name or password, / is written %2F, ? %3F, "
            "# %23 and % %25."
        )
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{_quoted_credentials(parts)}{host}{port}"


def _quoted_credentials(parts: SplitResult) -> str:
    if parts.username is None:
        return ""
    both = [unquote(parts.username), unquote(parts.password or "")]
    if not parts.scheme.startswith("socks"):
        # Source: RFC 7617, 2.1: in UTF-8. requests takes texts for Latin-1.
        both = [text.encode().decode("latin-1") for text in both]
    elif not all(0 < len(text.encode()) <= _LONGEST_FOR_SOCKS for text in both):
        raise InvalidValue(
            "PROXY needs a user name and a password, or neither; for SOCKS, each has at most "
            f"{_LONGEST_FOR_SOCKS} bytes."
        )
    return ":".join(quote(text, safe="") for text in both) + "@"


def _credentials(proxy: str) -> str:
    return proxy.rpartition("@")[0].rpartition("//")[2]


def _causes(error: BaseException) -> list[BaseException]:
    """The error and what it was raised for, the innermost last."""
    causes = [error]
    # urllib3 wraps what a proxy did without raising the wrapping.
    while inner := causes[-1].__context__ or getattr(causes[-1], "original_error", None):
        causes.append(inner)
    return causes


def _status(cause: BaseException) -> int:
    found = _TUNNEL.search(str(cause)) if isinstance(cause, OSError) else None
    return int(found[1]) if found else 0


def _is_socks_refusal(cause: BaseException) -> bool:
    from socks import SOCKS5AuthError

    return isinstance(cause, SOCKS5AuthError)


def _socks_fault(causes: list[BaseException], name: str) -> str | None:
    from socks import GeneralProxyError, ProxyConnectionError, SOCKS5Error

    # PySocks says of everything that it is an error of the socket, too.
    for cause in reversed(causes):
        if isinstance(cause, SOCKS5Error):
            return f"{name} does not get there: {_told(cause).partition(': ')[2]}"
        if isinstance(cause, ProxyConnectionError | GeneralProxyError):
            return f"{name} cannot be reached: {_told(cause.socket_err or cause)}"
    return None


def _told(cause: BaseException) -> str:
    text = str(getattr(cause, "strerror", None) or cause)
    return " ".join(text.split()).rstrip(".")
