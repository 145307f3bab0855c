"""Patch files that are not on the disk: from the cache, or from the patch source in a moment."""

from __future__ import annotations

import logging
from functools import partial

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from eportal_core import db
from eportal_core.agent.coming import NOT_HERE, Coming, not_now, served
from eportal_core.caching.copies import CachedLevel
from eportal_core.caching.patches import PatchCache
from eportal_core.errors import ArchiveError
from eportal_core.models import Level, Patchset, enabled_levels
from eportal_core.patchsets.store import PatchsetStore

log = logging.getLogger("eportal.cache")

_MISSING = "There is no such file."


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
        return served(request, path)
    try:
        wanted = cache.wanted(cached, name, store.meta(patchset))
    except (ArchiveError, OSError) as error:
        log.error("The manifest of %s cannot be used: %s", patchset, error)
        raise not_now(NOT_HERE) from None
    if wanted is None:
        raise HTTPException(404, _MISSING)
    if not store.on_request:
        raise not_now(NOT_HERE)
    return Coming(request, partial(cache.join, wanted), partial(cache.find, cached, name))


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
