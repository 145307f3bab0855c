"""Patch files as agents fetch them: ranges, ETag, and only what their feed has."""

from __future__ import annotations

from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from eportal_core import db
from eportal_core.agent.access import admit
from eportal_core.models import ENABLED, FeedPatchset, Level
from eportal_core.patchsets.store import PatchsetStore

#: Files that say what a patch is and hold none of it; vulnerability scanners fetch them.
PUBLIC_FILES = frozenset({"kpatch.info", "kpatch.info.sig"})


def level_file(store: PatchsetStore) -> Callable[[Request], Response]:
    """An endpoint for paths with ``target``, ``level`` and ``file``, and maybe ``feed``.

    Registered servers whose key has the product may call it; public files anybody.
    """
    product = store.spec.product.name

    def endpoint(request: Request) -> Response:
        target, name = request.path_params["target"], request.path_params["file"]
        level = int(request.path_params["level"])
        feed = admit(request, product, anonymous=name in PUBLIC_FILES)
        path = store.file(target, level, name)
        if path is None or not _in_feed(product, feed, target, level):
            raise HTTPException(404, "There is no such file.")
        response = FileResponse(
            path, stat_result=path.stat(), media_type="application/octet-stream"
        )
        if _is_fresh(request, response.headers["etag"]):
            return Response(status_code=304, headers={"etag": response.headers["etag"]})
        return response

    return endpoint


def _in_feed(product: str, feed: str, target: str, level: int) -> bool:
    """Whether a patchset that is enabled in ``feed`` brings this level."""
    with db.connection():
        return (
            Level.select()
            .join(FeedPatchset, on=(FeedPatchset.patchset == Level.patchset))
            .where(
                Level.target == target,
                Level.level == level,
                Level.patchset.startswith(f"{product}/"),
                FeedPatchset.feed == feed,
                FeedPatchset.state == ENABLED,
            )
            .exists()
        )


def _is_fresh(request: Request, etag: str) -> bool:
    """Source: RFC 9110, If-None-Match compares weakly."""
    known = request.headers.get("if-none-match", "")
    return etag in (tag.strip().removeprefix("W/") for tag in known.split(","))
