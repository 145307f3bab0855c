"""What a proxy says of its client counts only when the proxy is trusted.

uvicorn's own middleware replaces client and scheme, and forgets who said so. Who asks by which
name the portal was called (``eportal_core.web.address``) has to know that too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

#: In the scope of a request: whether its connection comes from a trusted proxy.
FROM_TRUSTED_PROXY = "eportal.from_trusted_proxy"
#: How an IPv4 peer looks to a socket that listens for both. Source: RFC 4291, 2.5.5.2.
_MAPPED = "::ffff:"


class TrustedProxies:
    """Takes client and scheme of a request from those who may tell; it is before every check-in.

    trusted: addresses and networks as uvicorn takes them; ``*`` alone is everybody.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[str]) -> None:
        self._app = app
        # uvicorn and starlette have types of their own for the same thing.
        make: Callable[..., Any] = ProxyHeadersMiddleware
        proxied = make(app, list(trusted))
        self._trusted = proxied.trusted_hosts
        self._proxied: ASGIApp = proxied

    # Not a coroutine itself, which would be a microsecond more for each check-in.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http" or not (client := scope["client"]):
            return self._app(scope, receive, send)
        host: str = client[0]
        if host.startswith(_MAPPED) and "." in host:
            host = host.removeprefix(_MAPPED)
            scope["client"] = (host, client[1])
        if host not in self._trusted:
            return self._app(scope, receive, send)
        scope[FROM_TRUSTED_PROXY] = True
        return self._proxied(scope, receive, send)
