"""How errors look over HTTP, each with the right status.

Ours are ``{"error": code, "detail": sentence}``; an HTTPException is its sentence as plain text,
but for the HTTP API, whose errors all have one form.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from eportal_core.errors import PortalError, TooOften

#: Goes with every 401 that is ours. Source: RFC 9110, 15.5.2.
BASIC = {"WWW-Authenticate": 'Basic realm="ePortal"'}
#: Below it, clients want JSON.
_API = "/admin/api/"
#: What is said where nobody has said more.
_SENTENCES = {
    404: "There is nothing at this path.",
    405: "This path does not answer this method.",
}

log = logging.getLogger("eportal.http")


def portal_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PortalError)
    if error.status >= 500:
        log.error("%s %r: %s", request.method, request.url.path, error.in_full)
    headers = BASIC if error.status == 401 else {}
    if isinstance(error, TooOften):
        headers = {"Retry-After": str(error.wait)}
    return JSONResponse({"error": error.code, "detail": str(error)}, error.status, headers)


def http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if request.url.path.startswith(_API):
        phrase = HTTPStatus(error.status_code).phrase
        code = phrase.lower().replace(" ", "-")
        has_said = error.detail != phrase
        detail = error.detail if has_said else _SENTENCES.get(error.status_code, phrase)
        return JSONResponse({"error": code, "detail": detail}, error.status_code, headers)
    return PlainTextResponse(f"{error.detail}\n", error.status_code, headers)


def gone(request: Request, error: Exception) -> Response:
    """The client hung up while it sent its body: nobody reads this, and it is no error of ours."""
    return Response(status_code=400)


def failed(request: Request, error: Exception) -> Response:
    """A mistake of ours: the log has it all, and whoever asked learns nothing of the inside."""
    if request.url.path.startswith(_API):
        detail = "The portal failed; its log says why."
        return JSONResponse({"error": "internal", "detail": detail}, 500)
    return PlainTextResponse("Internal Server Error", 500)


HANDLERS: dict[Any, Callable[[Request, Exception], Response]] = {
    PortalError: portal_error,
    HTTPException: http_error,
    ClientDisconnect: gone,
    Exception: failed,
}
