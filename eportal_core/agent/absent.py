"""Patch files that are not on the disk: from the cache, or from the patch source in a moment."""

from __future__ import annotations

import logging
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from eportal_core import db
from eportal_core.caching.copies import CachedLevel
from eportal_core.caching.flights import while_connected
from eportal_core.caching.patches import PAUSE, PatchCache, Wanted
from eportal_core.errors import ArchiveError, PortalError
from eportal_core.models import Level, Patchset, enabled_levels
from eportal_core.patchsets.store import PatchsetStore
from eportal_core.web.files import serve_file

log = logging.getLogger("eportal.cache")

#: Seconds that an agent waits for a file; nginx in front gives up after 60 by default.
PATIENCE = 50

_MISSING = "There is no such file."
_NOT_HERE = "This file is not here yet."
_AWAY = "This file is not here yet, and the patch source cannot be asked for it now."


def absent(
    request: Request, store: PatchsetStore, feed: str, target: str, level: int, name: str
) -> Response:
    """The answer for a file of a level, or its bundle when ``name`` is empty, not on the disk.

    The caller has checked that whoever asks has the product and gets ``feed``; nothing is fetched
    that no patchset enabled in it lists.

    Raises:
        HTTPException: 404 when the feed has no such file, 503 when it is not to be had now.
    """
    found = _enabled(store, feed, target, level)
    if found is None:
        raise HTTPException(404, _MISSING)
    patchset, cached = found
    cache: PatchCache = request.app.state.cache
    path = cache.find(cached, name)
    if path is not None:
        return _served(request, path)
    try:
        wanted = cache.wanted(cached, name, store.meta(patchset))
    except (ArchiveError, OSError) as error:
        log.error("The manifest of %s cannot be used: %s", patchset, error)
        raise _not_now(_NOT_HERE) from None
    if wanted is None:
        raise HTTPException(404, _MISSING)
    if not store.on_request:
        raise _not_now(_NOT_HERE)
    return _Coming(request, cache, wanted)


class _Coming(Response):
    """Waits for a file, without a thread, then is the answer that serves it."""

    def __init__(self, request: Request, cache: PatchCache, wanted: Wanted) -> None:
        super().__init__()
        self._request = request
        self._cache = cache
        self._wanted = wanted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await while_connected(self._request, self._cache.join(self._wanted, PATIENCE))
        except TimeoutError:
            raise _not_now(_NOT_HERE) from None
        except PortalError as error:
            raise _not_now(_AWAY) from error
        answer = await run_in_threadpool(self._found)
        await answer(scope, receive, send)

    def _found(self) -> Response:
        path = self._cache.find(self._wanted.level, self._wanted.name)
        if path is None:
            raise _not_now(_NOT_HERE)
        return _served(self._request, path)


def _served(request: Request, path: Path) -> Response:
    try:
        return serve_file(request, path)
    except HTTPException:
        # Evicted between two lines.
        raise _not_now(_NOT_HERE) from None


def _not_now(sentence: str) -> HTTPException:
    return HTTPException(503, sentence, {"Retry-After": str(PAUSE)})


def _enabled(
    store: PatchsetStore, feed: str, target: str, level: int
) -> tuple[str, CachedLevel] | None:
    """A patchset that is enabled in ``feed`` and brings this level, if its files may be fetched."""
    product = store.spec.product.name
    with db.connection():
        rows = (
            enabled_levels(product, feed)
            .select(Patchset.name, Level.digest)
            .join(Patchset, on=(Level.patchset == Patchset.id))
            .where(Level.target == target, Level.level == level)
        )
        if not store.on_request:
            rows = rows.where(Patchset.archive == "")
        row = next(iter(db.rows(rows)), None)
    if row is None:
        return None
    name, digest = row
    return name, CachedLevel(product, target, level, digest)
