"""How agents and scanners ask whether a kernel is supported (docs/agents.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from eportal_core import PatchsetStore, Portal


def kernel_routes(portal: Portal, store: PatchsetStore) -> Sequence[BaseRoute]:
    """``version``, beside what every patchset product has."""
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route

    from eportal_core import is_supported

    def version(request: Request) -> Response:
        """Anybody may ask whether a kernel is supported, by a feed or at all."""
        target, feed = request.path_params["target"], request.path_params.get("feed")
        if not is_supported(request, store.spec.product.name, target, feed):
            raise HTTPException(404, "There are no patches for this kernel.")
        return PlainTextResponse("1")

    return [Route("/{target}/version", version), Route("/{feed}/{target}/version", version)]
