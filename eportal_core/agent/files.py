"""Patch files as agents fetch them: ranges, ETag, and only what their feed has."""

from __future__ import annotations

from collections.abc import Callable

from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from eportal_core import db
from eportal_core.agent.absent import absent
from eportal_core.agent.access import admit, memory_of
from eportal_core.models import Level, enabled_levels
from eportal_core.patchsets.store import PatchsetStore
from eportal_core.web.files import serve_file


class LevelConvertor(Convertor[int]):
    """A level in a path, as manifests may have it; a longer number names no file."""

    regex = "[1-9][0-9]{0,9}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("level", LevelConvertor())


def level_routes(store: PatchsetStore) -> list[BaseRoute]:
    """``<path>/<target>/latest`` and ``<path>/<target>/<level>/<file>``, also behind a feed's name.

    The latest level of the check-in product is told by the check-in itself.
    """
    path = store.spec.path
    answers = {f"{path}/{{target}}/{{level:level}}/{{file}}": level_file(store)}
    if not store.spec.product.checkin:
        answers[f"{path}/{{target}}/latest"] = latest_level(store)
    return [
        Route(f"{feed}{below}", endpoint)
        for below, endpoint in answers.items()
        for feed in ("", "/{feed}")
    ]


def latest_level(store: PatchsetStore) -> Callable[[Request], Response]:
    """An endpoint for paths with ``target``: its latest level in bare digits.

    Registered servers whose key has the product may call it.
    """
    product = store.spec.product.name

    def endpoint(request: Request) -> Response:
        feed = admit(request, product)
        level = memory_of(request).level(product, feed, request.path_params["target"])
        if level is None:
            raise HTTPException(404, "There are no patches for this target.")
        return PlainTextResponse(level)

    return endpoint


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
        if path is not None:
            return serve_file(request, path if _in_feed(product, feed, target, level) else None)
        if not store.is_file_name(target, name):
            raise HTTPException(404, "There is no such file.")
        return absent(request, store, feed, target, level, name)

    return endpoint


def _in_feed(product: str, feed: str, target: str, level: int) -> bool:
    """Whether a patchset that is enabled in ``feed`` brings this level."""
    with db.connection():
        levels = enabled_levels(product, feed)
        found: bool = levels.where(Level.target == target, Level.level == level).exists()
        return found
