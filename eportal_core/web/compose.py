"""Routes of the core and of the plugins, put together without silent overlap."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import BaseRoute, Route

from eportal_core.plugins import claim
from eportal_core.portal import Portal


def compose(portal: Portal, hook: str, own: Sequence[BaseRoute]) -> list[BaseRoute]:
    """``own`` first, then what plugins answer to ``hook``.

    Raises:
        PluginError: two of them bring the same path and method.
    """
    owners: dict[tuple[str, str], str] = {}
    routes: list[BaseRoute] = []
    brought = portal.plugins.each(hook, portal=portal)
    for owner, part in [("the core", own), *brought]:
        for route in part:
            if isinstance(route, Route):
                for method in sorted(route.methods or ()):
                    claim(owners, owner, "route", f"route {method} {route.path}")
            routes.append(route)
    return routes
