"""Which libraries have patches, as scanners ask for it (docs/agents.md)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from eportal_core import LatestLevel, PatchsetStore, Portal


def scanner_routes(portal: Portal, store: PatchsetStore) -> Sequence[BaseRoute]:
    """``/libcare-patches.json``, its older name, and ``/userspace.json``.

    Anybody may ask, for the feed ``main`` or the one that the path begins with; registered servers
    are told of their own.
    """
    from starlette.routing import Route

    product = store.spec.product.name
    patches, libraries = Answers(product, by_build_id), Answers(product, by_distro)
    return [
        Route(f"{feed}{path}", endpoint)
        for path, endpoint in (
            ("/libcare-patches.json", patches.answer),
            ("/userspace-patches.json", patches.answer),
            ("/userspace.json", libraries.answer),
        )
        for feed in ("", "/{feed}")
    ]


class Answers:
    """What ``make`` tells of a feed; kept while the feed stays as it is, for anybody may ask."""

    def __init__(
        self, product: str, make: Callable[[Sequence[LatestLevel]], dict[str, Any]]
    ) -> None:
        self._product = product
        self._make = make
        #: By feed: the revision of what it has, and the answer, packed as JSON.
        self._kept: dict[str, tuple[int, bytes]] = {}
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Response:
        from starlette.responses import Response

        from eportal_core import admit, feed_revision

        feed = admit(request, self._product, anonymous=True)
        told = self._told(feed, feed_revision(request, self._product, feed))
        return Response(told, media_type="application/json")

    def _told(self, feed: str, revision: int) -> bytes:
        from starlette.responses import JSONResponse

        from eportal_core import latest_levels

        # Of many who ask for the same at once, the first one has it made for all.
        with self._lock:
            kept = self._kept.get(feed)
            if kept is None or kept[0] != revision:
                told = JSONResponse(self._make(latest_levels(self._product, feed))).body
                kept = self._kept[feed] = (revision, bytes(told))
            return kept[1]


def by_build_id(rows: Sequence[LatestLevel]) -> dict[str, dict[str, Any]]:
    return {row.target: described(row) for row in rows}


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
