"""``kpatch.tgz``: what agents ask for by the build-id of an ELF file, of whichever product it is.

Agents know the file that they patch, and not who patches it: one address answers for all products
whose targets are build-ids.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from eportal_core.agent.absent import absent
from eportal_core.agent.access import admit_to_any, memory_of
from eportal_core.errors import ProductMissing
from eportal_core.patchsets.bundle import BUNDLE_NAME
from eportal_core.patchsets.store import PatchsetStore
from eportal_core.web.files import serve_file

#: What stands for ``any`` is the agent's business.
_PATH = f"/userspace/{{any}}/{{target}}/{BUNDLE_NAME}"


def userspace_routes(stores: Sequence[PatchsetStore]) -> list[Route]:
    """The routes; registered servers whose key has the product of the build-id may call them."""
    bundled = {store.spec.product.name: store for store in stores if store.spec.userspace}

    def endpoint(request: Request) -> Response:
        feed, products = admit_to_any(request, list(bundled))
        target = request.path_params["target"]
        memory = memory_of(request)
        levels = {name: memory.level(name, feed, target) for name in bundled}
        for product in products:
            if level := levels[product]:
                return _bundle(request, bundled[product], feed, target, int(level))
        if any(levels.values()):
            raise HTTPException(ProductMissing.status, ProductMissing.sentence)
        raise HTTPException(404, "There are no patches for this build-id.")

    if not bundled:
        return []
    return [Route(_PATH, endpoint), Route(f"/{{feed}}{_PATH}", endpoint)]


def _bundle(request: Request, store: PatchsetStore, feed: str, target: str, level: int) -> Response:
    try:
        return serve_file(request, store.bundle(target, level))
    except HTTPException:
        return absent(request, store, feed, target, level, "")
