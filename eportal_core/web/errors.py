"""How errors look over HTTP, each with the right status.

Ours are ``{"error": code, "detail": sentence}``; an HTTPException is its sentence as plain text.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from eportal_core.errors import PortalError

#: Goes with every 401 that is ours. Source: RFC 9110, 15.5.2.
BASIC = {"WWW-Authenticate": 'Basic realm="ePortal"'}

log = logging.getLogger("eportal.http")


def portal_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PortalError)
    if error.status >= 500:
        log.error("%s %r: %s", request.method, request.url.path, error)
    headers = BASIC if error.status == 401 else None
    return JSONResponse({"error": error.code, "detail": str(error)}, error.status, headers)


def http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    return PlainTextResponse(f"{error.detail}\n", error.status_code, headers)


def gone(request: Request, error: Exception) -> Response:
    """The client hung up while it sent its body: nobody reads this, and it is no error of ours."""
    return Response(status_code=400)


HANDLERS: dict[Any, Callable[[Request, Exception], Response]] = {
    PortalError: portal_error,
    HTTPException: http_error,
    ClientDisconnect: gone,
}
