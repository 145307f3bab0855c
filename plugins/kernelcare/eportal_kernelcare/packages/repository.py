"""``/repo``: the upstream's packages, from copies that are here where that is right."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from eportal_core import (
    Flights,
    NotFound,
    Portal,
    PortalError,
    StorageError,
    UpstreamError,
    http,
    serve_file,
    while_connected,
)
from eportal_kernelcare.packages.copies import Copies
from eportal_kernelcare.packages.names import clean_path
from eportal_kernelcare.packages.room import FETCHES, cache_folder, room_of
from eportal_kernelcare.packages.upstream import LOG_PERIOD, PAUSE, Upstream

log = logging.getLogger("eportal.packages")

#: Seconds that a client waits for a file that is not here, and for one of which an older copy is.
_PATIENCE = 90
_PATIENCE_WITH_COPY = 5

#: So many files may be waited for; those who ask for more are sent away.
_WAITING_MAX = 200

_NOT_SET = "This portal has no agent packages: AGENT_REPO_URL is not set."
_MISSING = "There is no such file."
_AWAY = "The upstream of the agent packages cannot be reached, and this file is not here yet."


class Repository:
    """The upstream's files, as this portal has them."""

    def __init__(self, portal: Portal, url: str) -> None:
        config = portal.config
        folder = cache_folder(portal)
        self._fresh = config["AGENT_REPO_FRESH"]
        self._upstream = Upstream(
            portal,
            http.check_address(url, "AGENT_REPO_URL"),
            config["AGENT_REPO_USER"],
            config["AGENT_REPO_PASSWORD"],
        )
        self._copies = Copies(folder, self._upstream.url)
        self._room = room_of(folder, config["AGENT_REPO_CACHE_SIZE"])
        self._flights = Flights(self._fetch, at_once=FETCHES, waiting=_WAITING_MAX)
        self._slow_until = 0.0
        self._quiet_until = 0.0

    async def answer(self, request: Request) -> Response:
        """Anybody may ask: agents need their packages before they can register."""
        path = clean_path(request.path_params["path"])
        if path is None:
            raise HTTPException(404, _MISSING)
        known, fresh = await run_in_threadpool(self._look, path)
        if not fresh:
            patience = self._patience(known)
            try:
                await while_connected(request, self._flights.join(path, patience))
            except TimeoutError:
                if patience:
                    self._slow_until = time.monotonic() + PAUSE
                if not known:
                    raise _away() from None
            except NotFound:
                raise HTTPException(404, _MISSING) from None
            except PortalError as error:
                if not known:
                    raise _away() from error
        return await run_in_threadpool(self._serve, request, path)

    def _patience(self, known: bool) -> float:
        if not known:
            return _PATIENCE
        return 0 if time.monotonic() < self._slow_until else _PATIENCE_WITH_COPY

    def _look(self, path: str) -> tuple[bool, bool]:
        """Whether there is a copy, and whether it may be served without asking."""
        copy = self._copies.find(path)
        if copy is None:
            return False, False
        self._copies.use(path)
        return True, self._copies.is_fresh(copy, self._fresh)

    def _serve(self, request: Request, path: str) -> Response:
        for _ in range(3):
            copy = self._copies.find(path)
            if copy is None:
                break
            try:
                return serve_file(request, self._copies.body(copy))
            except HTTPException:
                # Replaced by a newer one between two lines.
                continue
        raise _away()

    def _fetch(self, path: str) -> None:
        """Bring the copy up to date; the work of one flight."""
        try:
            self._bring(path)
        except StorageError as error:
            self._complain(error)
            raise
        except UpstreamError:
            self._room.add(self._copies.partial_size(path))
            raise

    def _complain(self, error: StorageError) -> None:
        """Anybody may ask for any number of names: they must not fill a disk that is full."""
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + LOG_PERIOD
            log.error("%s", error)

    def _bring(self, path: str) -> None:
        limit = self._room.for_one_file()
        with self._copies.lock(path) as place:
            copy = self._copies.find(path)
            if copy is not None and self._copies.is_fresh(copy, self._fresh):
                # Another process was faster.
                return
            began = time.time()
            headers = self._upstream.fetch(path, place, limit, copy.conditions if copy else {})
            if headers is None:
                assert copy is not None
                self._copies.confirm(copy, began, {})
                return
            kept = self._copies.keep(path, place, headers, began)
        self._room.add(kept.size)


def repository_routes(portal: Portal) -> Sequence[BaseRoute]:
    """``GET`` and ``HEAD`` ``/repo/<path>``.

    Raises:
        InvalidValue: ``AGENT_REPO_URL`` is no address.
    """
    url: str | None = portal.config["AGENT_REPO_URL"]
    path = "/repo/{path:path}"
    return [Route(path, _nothing if url is None else Repository(portal, url).answer)]


async def _nothing(request: Request) -> Response:
    """404 and not 503: to try again later, as package managers then do, would not help."""
    raise HTTPException(404, _NOT_SET)


def _away() -> HTTPException:
    return HTTPException(503, _AWAY, {"Retry-After": str(PAUSE)})
