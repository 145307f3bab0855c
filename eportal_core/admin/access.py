"""Who may call a route of the admin side."""

from __future__ import annotations

from binascii import a2b_base64

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from eportal_core.auth import authenticate
from eportal_core.errors import AccessDenied
from eportal_core.portal import Portal
from eportal_core.types import Identity


def require_user(portal: Portal, request: Request) -> Identity:
    """The user who asks, by HTTP Basic authentication; it waits for the backends.

    Raises:
        AccessDenied: no credentials, or none that a backend knows.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise AccessDenied("This page is for users who have logged in.")
    try:
        username, _, password = a2b_base64(token, strict_mode=True).decode().partition(":")
    # Not in the alphabet, not even ASCII, or no text.
    except ValueError:
        raise AccessDenied("The credentials cannot be read.") from None
    return authenticate(portal, username, password)


def access_routes(portal: Portal) -> list[Route]:
    """``/admin/api/whoami``: users only; as whom the portal knows them."""

    def whoami(request: Request) -> Response:
        user = require_user(portal, request)
        return JSONResponse(
            {"username": user.username, "backend": user.backend, "readonly": user.readonly}
        )

    return [Route("/admin/api/whoami", whoami)]
