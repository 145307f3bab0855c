"""``/source/...``: the patch source that this portal serves to portals below it."""

from __future__ import annotations

import hmac
import logging
import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePath

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from eportal_core.agent.coming import Coming, not_now, served
from eportal_core.config import Config
from eportal_core.errors import InvalidValue, NotFound, PortalError
from eportal_core.portal import Portal
from eportal_core.source.client import MIRROR, is_mirror
from eportal_core.source.layout import METADATA, TARGETS
from eportal_core.web.errors import BASIC
from eportal_core.web.files import serve_file

log = logging.getLogger("eportal.source")

#: Answers a request for a path in the source.
Answer = Callable[[Request, str], Response]

_JSON = "application/json"
_MISSING = "There is no such file."
#: A part of a path in a source: a hash may stand before a name.
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,254}")


def source_routes(portal: Portal) -> Sequence[BaseRoute]:
    """The routes of the source in ``PUBLISH_SOURCE``; none when it is not set.

    Raises:
        InvalidValue: it names no source.
    """
    config = portal.config
    published = configured_source(config)
    if published is None:
        return []
    answer = _mirrored(portal) if is_mirror(config) else _in_folder(Path(published))
    user, password = config["PUBLISH_SOURCE_USER"], config["PUBLISH_SOURCE_PASSWORD"]
    asked = None if user is None and password is None else f"{user or ''}:{password or ''}"

    def endpoint(request: Request) -> Response:
        if asked is not None and not _knows(request, asked):
            raise HTTPException(401, "This source asks for a user and a password.", BASIC)
        path: str = request.path_params.get("path", "")
        top, *below = path.split("/")
        if top not in (METADATA, TARGETS) or not all(map(_SEGMENT.fullmatch, below)):
            raise HTTPException(404, _MISSING)
        return answer(request, path)

    return [Route("/source", endpoint), Route("/source/{path:path}", endpoint)]


def configured_source(config: Config) -> str | None:
    """What PUBLISH_SOURCE says: a directory, ``MIRROR``, or None when it is not set.

    Raises:
        InvalidValue: it is neither.
    """
    published: str | None = config["PUBLISH_SOURCE"]
    if published is None or is_mirror(config) or PurePath(published).is_absolute():
        return published
    raise InvalidValue(
        f'PUBLISH_SOURCE must be an absolute path, one that starts with /, or "{MIRROR}".'
    )


def _in_folder(folder: Path) -> Answer:
    """Serves what a publisher has in ``folder``; no link leads out of it."""

    def answer(request: Request, path: str) -> Response:
        found = folder / path
        if not found.resolve().is_relative_to(folder.resolve()):
            raise HTTPException(404, _MISSING)
        json = found.suffix == ".json"
        return serve_file(request, found, _JSON if json else "application/octet-stream")

    return answer


def _mirrored(portal: Portal) -> Answer:
    """Serves what the portal itself reads of its patch source."""
    # What reads signed metadata takes long to load, and much memory.
    from eportal_core.caching.mirrored import MirroredFiles
    from eportal_core.source.mirror import Mirror

    mirror = Mirror(portal.config)
    files = MirroredFiles(portal, mirror)

    def answer(request: Request, path: str) -> Response:
        try:
            if path.startswith(f"{METADATA}/"):
                return _metadata(mirror.metadata(path))
            below = path.removeprefix(f"{TARGETS}/")
            found = files.find(below)
        except NotFound as error:
            raise HTTPException(404, str(error)) from None
        except PortalError as error:
            log.error("The patch source is not handed on: %s", error)
            raise not_now("This source cannot be read now.") from None
        if found is None:
            return Coming(request, partial(files.join, below), partial(files.find, below))
        return served(request, found)

    return answer


def _metadata(data: bytes | None) -> Response:
    if data is None:
        raise HTTPException(404, _MISSING)
    return Response(data, media_type=_JSON)


def _knows(request: Request, asked: str) -> bool:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    right = b64encode(asked.encode())
    given = token.strip().encode("latin-1", "replace")
    return scheme.lower() == "basic" and hmac.compare_digest(given, right)
