"""Tokens of forms, as starlette-admin checks them; a refusal is a page like any other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.middleware.base import RequestResponseEndpoint
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp
from starlette_admin.security.csrf import CSRFMiddleware

_OLD = "This form is too old, or not of this portal: go back, load its page again, and send it."
_UNREADABLE = "The form cannot be read."


class Tokens(CSRFMiddleware):
    """refuse: makes the page of a status and a sentence."""

    def __init__(
        self,
        app: ASGIApp,
        secret_key: str,
        refuse: Callable[[Request, int, str], Awaitable[Response]],
    ) -> None:
        super().__init__(app, secret_key)
        self._refuse = refuse

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        is_passed = False

        async def passed(request: Request) -> Response:
            nonlocal is_passed
            is_passed = True
            return await call_next(request)

        try:
            # Further in, a body that is too large would be an error of ours.
            await request.body()
            answer = await super().dispatch(request, passed)
        except HTTPException as error:
            if is_passed:
                raise
            return await self._refuse(request, error.status_code, _UNREADABLE)
        except ClientDisconnect:
            # Nobody is there to read it.
            return Response(status_code=400)
        return answer if is_passed else await self._refuse(request, answer.status_code, _OLD)
