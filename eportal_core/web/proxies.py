"""What a proxy says of its client counts only when the proxy is trusted.

uvicorn's own middleware replaces client and scheme, and forgets who said so. Who asks by which
name the portal was called (``eportal_core.web.address``) has to know that too.
"""

from __future__ import annotations

from collections.abc import Sequence

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
        self._app = ProxyHeadersMiddleware(app, list(trusted))  # type: ignore[arg-type]
        self._trusted = self._app.trusted_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (client := scope["client"]):
            if client[0].startswith(_MAPPED) and "." in client[0]:
                client = scope["client"] = (client[0].removeprefix(_MAPPED), client[1])
            scope[FROM_TRUSTED_PROXY] = client[0] in self._trusted
        await self._app(scope, receive, send)  # type: ignore[arg-type]
