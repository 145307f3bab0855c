"""What the admin side tells browsers about its pages, and by which host names it may be called."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eportal_core.errors import ConfigError

#: Nothing is loaded but from here, nothing runs but what carries the nonce of this answer, nobody
#: shows a page of ours within his own. Source: https://www.w3.org/TR/CSP3/.
_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    # With no-referrer, browsers would not even tell us that a form of ours is ours.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
#: For a year. Source: RFC 6797, 6.1.
_HSTS = "max-age=31536000"
#: What is made for one user at one moment.
_PERSONAL = ("text/html", "application/json", "text/csv")
#: A name, or all names below one, or an address; no port.
_PATTERN = re.compile(r"\*|(\*\.)?[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]")
#: Who watches over the process calls it by whatever address it has.
_HEALTH = ("/healthz", "/readyz")


def nonce(request: Request) -> str:
    """What a ``script`` or ``style`` element must carry in this answer."""
    value: str = request.state.csp_nonce
    return value


class SecurityHeaders:
    """Adds the headers to every answer that has not its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        value = secrets.token_urlsafe(16)
        scope.setdefault("state", {})["csp_nonce"] = value

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", _POLICY.format(nonce=value))
                for name, content in _ALWAYS.items():
                    headers.setdefault(name, content)
                if scope["scheme"] == "https":
                    headers.setdefault("Strict-Transport-Security", _HSTS)
                if headers.get("content-type", "").startswith(_PERSONAL):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)


class AllowedHosts:
    """Refuses requests for hosts that are not ``allowed``; none named means any.

    Raises:
        ConfigError: one of them is no host name.
    """

    def __init__(self, app: ASGIApp, allowed: Sequence[str]) -> None:
        self._app = app
        for host in allowed:
            if not _PATTERN.fullmatch(host):
                raise ConfigError(
                    f"ALLOWED_HOSTS names {host!r}: host names such as eportal.example.com are "
                    f"meant, or *.example.com for all below one."
                )
        self._checked = TrustedHostMiddleware(app, list(allowed) or ["*"], www_redirect=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exempt = scope["type"] == "http" and scope["path"] in _HEALTH
        await (self._app if exempt else self._checked)(scope, receive, send)
