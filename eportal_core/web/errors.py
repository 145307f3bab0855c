"""How errors look over HTTP: ``{"error": code, "detail": sentence}`` and the right status."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from eportal_core.errors import PortalError

log = logging.getLogger("eportal.http")


def portal_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PortalError)
    if error.status >= 500:
        log.error("%s %s: %s", request.method, request.url.path, error)
    return JSONResponse({"error": error.code, "detail": str(error)}, error.status)


def http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    return PlainTextResponse(f"{error.detail}\n", error.status_code, headers)


HANDLERS: dict[Any, Callable[[Request, Exception], Response]] = {
    PortalError: portal_error,
    HTTPException: http_error,
}
