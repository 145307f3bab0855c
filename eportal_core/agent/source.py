"""``/source/...``: the patch source that this portal serves to portals below it."""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from eportal_core.portal import Portal
from eportal_core.source.layout import METADATA, TARGETS
from eportal_core.web.errors import BASIC
from eportal_core.web.files import serve_file

#: A part of a path in a source: a hash may stand before a name.
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,254}")


def source_routes(portal: Portal) -> Sequence[BaseRoute]:
    """The route of the source in ``PUBLISH_SOURCE``; none when it is not set."""
    config = portal.config
    if config["PUBLISH_SOURCE"] is None:
        return []
    folder = Path(config["PUBLISH_SOURCE"])
    user, password = config["PUBLISH_SOURCE_USER"], config["PUBLISH_SOURCE_PASSWORD"]
    asked = None if user is None and password is None else f"{user or ''}:{password or ''}"

    def endpoint(request: Request) -> Response:
        if asked is not None and not _knows(request, asked):
            raise HTTPException(401, "This source asks for a user and a password.", BASIC)
        path = _below(folder, request.path_params["path"])
        json = path is not None and path.suffix == ".json"
        return serve_file(request, path, "application/json" if json else "application/octet-stream")

    return [Route("/source/{path:path}", endpoint)]


def _knows(request: Request, asked: str) -> bool:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    right = b64encode(asked.encode())
    given = token.strip().encode("latin-1", "replace")
    return scheme.lower() == "basic" and hmac.compare_digest(given, right)


def _below(folder: Path, path: str) -> Path | None:
    """The file of the source that ``path`` names; None for whatever leads elsewhere."""
    parts = path.split("/")
    if parts[0] not in (METADATA, TARGETS) or not all(map(_SEGMENT.fullmatch, parts)):
        return None
    found = folder.joinpath(*parts)
    return found if found.resolve().is_relative_to(folder.resolve()) else None
