"""Which libraries have patches, as scanners ask for it (docs/agents.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from eportal_core import LatestLevel, PatchsetStore, Portal


def scanner_routes(portal: Portal, store: PatchsetStore) -> Sequence[BaseRoute]:
    """``/libcare-patches.json``, its older name, and ``/userspace.json``.

    Anybody may ask, for the feed ``main`` or the one that the path begins with; registered servers
    are told of their own.
    """
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    from eportal_core import admit, latest_levels

    product = store.spec.product.name

    def patches(request: Request) -> Response:
        feed = admit(request, product, anonymous=True)
        return JSONResponse({row.target: described(row) for row in latest_levels(product, feed)})

    def libraries(request: Request) -> Response:
        feed = admit(request, product, anonymous=True)
        return JSONResponse(by_distro(latest_levels(product, feed)))

    return [
        Route(f"{feed}{path}", endpoint)
        for path, endpoint in (
            ("/libcare-patches.json", patches),
            ("/userspace-patches.json", patches),
            ("/userspace.json", libraries),
        )
        for feed in ("", "/{feed}")
    ]


def described(row: LatestLevel) -> dict[str, Any]:
    """A build-id's patch; ``flavor`` is the distribution that the file comes from."""
    return {
        "name": row.name,
        "time": row.appeared.strftime("%Y-%m-%d %H:%M:%S"),
        "timestamp": int(row.appeared.timestamp()),
        "flavor": row.distro,
        "latest": row.level,
    }


def by_distro(rows: Sequence[LatestLevel]) -> dict[str, dict[str, str]]:
    """Distribution -> library -> the build-id whose patch is the newest; unnamed ones left out."""
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        if row.name and row.distro:
            found.setdefault(row.distro, {})[row.name] = row.target
    return found
