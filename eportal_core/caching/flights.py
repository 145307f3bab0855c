"""One fetch for any number of requests that wait for it, and few fetches at a time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

import anyio
from starlette.requests import ClientDisconnect, Request

from eportal_core.errors import NotFound, PortalError, SourceRefused, UpstreamError

K = TypeVar("K", bound=Hashable)

#: For how long a failure is the answer without another try, seconds: one that another try a moment
#: later would hardly change, and any other; of how many files.
_LASTING = (NotFound, SourceRefused)
_LASTING_PERIOD = 60
_FAILURE_PERIOD = 5
_REMEMBERED_MAX = 2000


class Flights(Generic[K]):
    """Runs ``fetch(key)`` for those who ask; use it in one event loop.

    So many files are fetched at once, and so many may be waited for; those who ask for more are
    sent away. It has threads of its own: a slow upstream takes none of those in which others are
    served. They do not outlive the process: it ends while they wait, and what came is gone on with
    next time.
    """

    def __init__(self, fetch: Callable[[K], None], *, at_once: int, waiting: int) -> None:
        self._fetch = fetch
        self._waiting = waiting
        self._limiter = anyio.CapacityLimiter(at_once)
        self._flying: dict[K, asyncio.Task[PortalError | None]] = {}
        self._failed: dict[K, tuple[float, PortalError]] = {}

    async def join(self, key: K, seconds: float) -> None:
        """Wait until ``key`` was fetched, at most ``seconds``; it goes on when they have passed.

        Raises:
            TimeoutError: they have passed.
            PortalError: as ``fetch``; also what it raised a moment ago.
        """
        until, error = self._failed.get(key, (0.0, None))
        if error is not None and time.monotonic() < until:
            raise error.with_traceback(None)
        task = self._flying.get(key)
        if task is None:
            if len(self._flying) >= self._waiting:
                raise UpstreamError("Too many files are being fetched.")
            task = self._flying[key] = asyncio.create_task(self._fly(key))
        failure = await asyncio.wait_for(asyncio.shield(task), seconds)
        if failure is not None:
            raise failure.with_traceback(None)

    async def _fly(self, key: K) -> PortalError | None:
        """Fetch ``key``; a failure is returned, for there may be nobody left to raise it to."""
        try:
            async with self._limiter:
                await _in_own_thread(lambda: self._fetch(key))
        except PortalError as error:
            self._remember(key, error)
            return error
        finally:
            del self._flying[key]
        return None

    def _remember(self, key: K, error: PortalError) -> None:
        period = _LASTING_PERIOD if isinstance(error, _LASTING) else _FAILURE_PERIOD
        self._failed.pop(key, None)
        while len(self._failed) >= _REMEMBERED_MAX:
            del self._failed[next(iter(self._failed))]
        self._failed[key] = (time.monotonic() + period, error)


async def while_connected(request: Request, waiting: Coroutine[None, None, None]) -> None:
    """Wait for as long as there is somebody to wait for.

    Raises:
        ClientDisconnect: the client has hung up.
    """
    work, gone = asyncio.ensure_future(waiting), asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientDisconnect
        work.result()
    finally:
        work.cancel()
        gone.cancel()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _in_own_thread(work: Callable[[], None]) -> None:
    done: Future[None] = Future()
    # From now on it cannot be cancelled: whoever waits may go, the thread goes on.
    done.set_running_or_notify_cancel()

    def run() -> None:
        try:
            work()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=run, name="fetch", daemon=True).start()
    await asyncio.wrap_future(done)
