"""Patch files as agents fetch them: ranges, ETag, and only what their feed has."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import BinaryIO

from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from eportal_core import db
from eportal_core.agent.access import admit
from eportal_core.models import Level, enabled_levels
from eportal_core.patchsets.store import PatchsetStore


class LevelConvertor(Convertor[int]):
    """A level in a path, as manifests may have it; a longer number names no file."""

    regex = "[1-9][0-9]{0,9}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("level", LevelConvertor())


def level_file(store: PatchsetStore) -> Callable[[Request], Response]:
    """An endpoint for paths with ``target``, ``{level:level}`` and ``file``, and maybe ``feed``.

    Registered servers whose key has the product may call it; public files anybody.
    """
    product, public_files = store.spec.product.name, store.spec.public_files

    def endpoint(request: Request) -> Response:
        target, name = request.path_params["target"], request.path_params["file"]
        level: int = request.path_params["level"]
        feed = admit(request, product, anonymous=name in public_files)
        path = store.file(target, level, name)
        if path is None or not _in_feed(product, feed, target, level):
            raise HTTPException(404, "There is no such file.")
        try:
            response = OpenFileResponse(path.open("rb"))
        except FileNotFoundError:
            raise HTTPException(404, "There is no such file.") from None
        if _is_fresh(request, response.headers["etag"]):
            response.close()
            return Response(status_code=304, headers={"etag": response.headers["etag"]})
        return response

    return endpoint


class OpenFileResponse(FileResponse):
    """Sends a file to its end, also when it is deleted before the first byte has left."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(
            f"/proc/self/fd/{file.fileno()}",
            stat_result=os.fstat(file.fileno()),
            media_type="application/octet-stream",
        )
        self.close = file.close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.close()


def _in_feed(product: str, feed: str, target: str, level: int) -> bool:
    """Whether a patchset that is enabled in ``feed`` brings this level."""
    with db.connection():
        levels = enabled_levels(product, feed)
        found: bool = levels.where(Level.target == target, Level.level == level).exists()
        return found


def _is_fresh(request: Request, etag: str) -> bool:
    """Source: RFC 9110, 13.1.2: If-None-Match compares weakly, and an asterisk means any."""
    known = request.headers.get("if-none-match", "").split(",")
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in known)
