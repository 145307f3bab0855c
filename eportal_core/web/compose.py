"""Routes of the core and of the plugins, put together without silent overlap."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from starlette.routing import BaseRoute, Mount, Route

from eportal_core.errors import PluginError
from eportal_core.markers import THE_CORE
from eportal_core.plugins import claim
from eportal_core.portal import Portal

#: How a parameter of a path begins; its name is nobody's business.
_PARAMETER = re.compile(r"\{\w+")


def compose(
    portal: Portal, hook: str, own: Sequence[BaseRoute], below: str = ""
) -> list[BaseRoute]:
    """``own`` first, then what plugins answer to ``hook``, all of it ``below`` a path.

    Raises:
        PluginError: a path and method is brought twice, or a plugin's route leaves ``below``.
    """
    owners: dict[str, str] = {}
    routes = list(own)
    for route in own:
        _claim(owners, THE_CORE, route)
    for plugin, brought in portal.plugins.lists(hook, BaseRoute, portal=portal):
        for route in brought:
            path = getattr(route, "path", "") or "/"
            if not f"{path}/".startswith(f"{below}/"):
                raise PluginError(f"Plugin {plugin} brings the route {path}, not below {below}.")
            _claim(owners, plugin, route)
            routes.append(route)
    # A path that may begin with anything, such as a feed, hides none that begins with a name.
    return sorted(routes, key=_openness)


def _openness(route: BaseRoute) -> tuple[bool, ...]:
    """Sorts paths that begin with a parameter last; of those, the earlier a name the sooner."""
    path: str = getattr(route, "path", "")
    return tuple(part.startswith("{") for part in path.split("/")) if path.startswith("/{") else ()


def _claim(owners: dict[str, str], owner: str, route: BaseRoute) -> None:
    pages: Mapping[str, str] = getattr(route, "brought_by", {})
    by = {_PARAMETER.sub("{", page): plugin for page, plugin in pages.items()}
    for what in _covered(route):
        claim(owners, by.get(what, owner), f"route {what}")


def _covered(route: BaseRoute) -> Iterator[str]:
    """What a route answers: methods with a path whose parameters have no names."""
    if isinstance(route, Route):
        path = _PARAMETER.sub("{", route.path)
        yield from (f"{method} {path}" for method in sorted(route.methods or ("*",)))
    elif isinstance(route, Mount):
        above = _PARAMETER.sub("{", route.path)
        yield f"* {above}/"
        for inner in route.routes or ():
            for what in _covered(inner):
                method, _, path = what.partition(" ")
                yield f"{method} {above}{path}"
