"""The answer that is a file which has to be fetched first."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from eportal_core.caching.flights import while_connected
from eportal_core.caching.patches import PAUSE
from eportal_core.errors import PortalError
from eportal_core.web.files import serve_file

#: Seconds that somebody waits for a file; nginx in front gives up after 60 by default.
PATIENCE = 50

NOT_HERE = "This file is not here yet."
_AWAY = "This file is not here yet, and the patch source cannot be asked for it now."


class Coming(Response):
    """Waits for a file, without a thread, then is the answer that serves it.

    join: waits for so many seconds. find: tells where the file is, None for nowhere.
    """

    def __init__(
        self,
        request: Request,
        join: Callable[[float], Coroutine[None, None, None]],
        find: Callable[[], Path | None],
    ) -> None:
        super().__init__()
        self._request = request
        self._join = join
        self._find = find

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await while_connected(self._request, self._join(PATIENCE))
        except TimeoutError:
            raise not_now(NOT_HERE) from None
        except PortalError as error:
            raise not_now(_AWAY) from error
        answer = await run_in_threadpool(self._found)
        await answer(scope, receive, send)

    def _found(self) -> Response:
        path = self._find()
        if path is None:
            raise not_now(NOT_HERE)
        return served(self._request, path)


def served(request: Request, path: Path) -> Response:
    """Raises HTTPException: 503 when it was evicted a moment ago."""
    try:
        return serve_file(request, path)
    except HTTPException:
        raise not_now(NOT_HERE) from None


def not_now(sentence: str) -> HTTPException:
    """To be raised when another try may be answered."""
    return HTTPException(503, sentence, {"Retry-After": str(PAUSE)})
