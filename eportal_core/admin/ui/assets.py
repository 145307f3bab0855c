"""Style sheets and scripts: ours, and those that starlette-admin brings along."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

FOLDER = Path(__file__).with_name("static")
_LIBRARY = "starlette_admin"
#: All that we want of the library's; not all of the rest is free software.
_BORROWED = frozenset({"css/vendor/tabler.min.css"})
#: A year: an address names the content, so that a new content has a new one.
_FOREVER = "public, max-age=31536000, immutable"


def static_mount() -> Mount:
    served = _LongKept(directory=FOLDER, packages=[(_LIBRARY, "static")])
    return Mount("/static", app=GZipMiddleware(served), name="static")


@cache
def asset(path: str) -> str:
    """The address of a file below ``static``, with a digest of its content."""
    found = FOLDER / path
    content = found if found.is_file() else files(_LIBRARY).joinpath("static", path)
    return f"/admin/static/{path}?{hashlib.sha256(content.read_bytes()).hexdigest()[:12]}"


class _LongKept(StaticFiles):
    """Files that browsers need not ask for again: ours, and what we borrow."""

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        if path not in _BORROWED and not (FOLDER / path).is_file():
            return "", None
        return super().lookup_path(path)

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        response = super().file_response(*arguments, **options)
        response.headers["Cache-Control"] = _FOREVER
        return response
