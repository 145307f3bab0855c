"""One fetch for any number of requests that wait for it, and few fetches at a time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

import anyio

from eportal_core import NotFound, PortalError, UpstreamError

#: So many files are fetched at a time.
FETCHES = 4
#: So many files may wait for that; those who ask for more are sent away.
_WAITING_MAX = 200
#: For how long a failure is the answer without another try, seconds; of how many files.
_MISSING_PERIOD = 60
_FAILURE_PERIOD = 5
_REMEMBERED_MAX = 2000


class Flights:
    """Runs ``fetch(path)`` for those who ask; use it in one event loop.

    It has threads of its own: a slow upstream takes none of those in which others are served. They
    do not outlive the process: it ends while they wait, and what came is gone on with next time.
    """

    def __init__(self, fetch: Callable[[str], None]) -> None:
        self._fetch = fetch
        self._limiter = anyio.CapacityLimiter(FETCHES)
        self._flying: dict[str, asyncio.Task[PortalError | None]] = {}
        self._failed: dict[str, tuple[float, PortalError]] = {}

    async def join(self, path: str, seconds: float) -> None:
        """Wait until ``path`` was fetched, at most ``seconds``; it goes on when they have passed.

        Raises:
            TimeoutError: they have passed.
            PortalError: as ``fetch``; also what it raised a moment ago.
        """
        until, error = self._failed.get(path, (0.0, None))
        if error is not None and time.monotonic() < until:
            raise error.with_traceback(None)
        task = self._flying.get(path)
        if task is None:
            if len(self._flying) >= _WAITING_MAX:
                raise UpstreamError("Too many files are being fetched.")
            task = self._flying[path] = asyncio.create_task(self._fly(path))
        failure = await asyncio.wait_for(asyncio.shield(task), seconds)
        if failure is not None:
            raise failure.with_traceback(None)

    async def _fly(self, path: str) -> PortalError | None:
        """Fetch ``path``; a failure is returned, for there may be nobody left to raise it to."""
        try:
            async with self._limiter:
                await _in_own_thread(lambda: self._fetch(path))
        except PortalError as error:
            self._remember(path, error)
            return error
        finally:
            del self._flying[path]
        return None

    def _remember(self, path: str, error: PortalError) -> None:
        period = _MISSING_PERIOD if isinstance(error, NotFound) else _FAILURE_PERIOD
        self._failed.pop(path, None)
        while len(self._failed) >= _REMEMBERED_MAX:
            del self._failed[next(iter(self._failed))]
        self._failed[path] = (time.monotonic() + period, error)


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

    threading.Thread(target=run, name="agent packages", daemon=True).start()
    await asyncio.wrap_future(done)
