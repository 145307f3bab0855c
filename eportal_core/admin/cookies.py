"""The cookie of a session: what it is called and how browsers keep it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from eportal_core.config import Config

COOKIE = "eportal_session"
#: A browser takes it from this very host alone, by https. Source: RFC 6265bis, 4.1.3.2.
SECURE_COOKIE = f"__Host-{COOKIE}"
#: The longest that browsers keep one, seconds. Source: RFC 6265bis, 5.5.
_LONGEST = 400 * 24 * 3600


def session_cookie(request: Request) -> str | None:
    """What the cookie of the session holds; None when there is none."""
    return request.cookies.get(_name(request))


def set_session_cookie(response: Response, request: Request, config: Config, token: str) -> None:
    """Give the browser the cookie of a new session."""
    lifetime = config["AUTH_SESSION_LIFETIME"]
    if lifetime is not None and config["AUTH_REFRESH_SESSION"]:
        # The portal knows when it ends, and moves that; the browser need not.
        lifetime = _LONGEST
    response.set_cookie(
        _name(request),
        token,
        max_age=None if lifetime is None else min(lifetime, _LONGEST),
        secure=is_secure(request),
        httponly=True,
        samesite="lax",
    )


def drop_session_cookie(response: Response, request: Request) -> None:
    response.delete_cookie(_name(request), secure=is_secure(request), httponly=True, samesite="lax")


def is_secure(request: Request) -> bool:
    """Whether the browser speaks https, to the portal or to a proxy that is trusted."""
    return request.url.scheme == "https"


def _name(request: Request) -> str:
    return SECURE_COOKIE if is_secure(request) else COOKIE
