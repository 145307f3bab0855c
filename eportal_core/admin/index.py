"""``/admin`` leads to the index page, which is one of the shell's (``admin.ui.overview``)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route


def index_routes() -> list[Route]:
    def root(request: Request) -> Response:
        return RedirectResponse("/admin/")

    return [Route("/admin", root)]
