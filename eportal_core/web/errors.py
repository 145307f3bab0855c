"""How errors look over HTTP: ``{"error": code, "detail": sentence}`` and the right status."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from eportal_core.errors import PortalError

log = logging.getLogger("eportal.http")


def portal_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PortalError)
    if error.status >= 500:
        log.error("%s %r: %s", request.method, request.url.path, error)
    return JSONResponse({"error": error.code, "detail": str(error)}, error.status)


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
