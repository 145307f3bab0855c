"""The links that plugins bring to the pages of the admin side."""

from __future__ import annotations

from eportal_core.errors import PluginError
from eportal_core.plugins import claim
from eportal_core.portal import Portal
from eportal_core.types import Page


def navigation(portal: Portal) -> list[Page]:
    """All pages, by title.

    Raises:
        PluginError: two have the same title or path, or a path is not below ``/admin``.
    """
    return below_admin(portal, "eportal_navigation", "page")


def below_admin(portal: Portal, hook: str, kind: str) -> list[Page]:
    """What plugins answer to ``hook``, by title; ``kind`` is what the errors call it.

    Raises:
        PluginError: two have the same title or path, or a path is not below ``/admin``.
    """
    owners: dict[str, str] = {}
    pages: list[Page] = []
    for plugin, brought in portal.plugins.lists(hook, Page, portal=portal):
        for page in brought:
            if not page.path.startswith("/admin/"):
                raise PluginError(
                    f"Plugin {plugin} brings the {kind} {page.path}, not below /admin."
                )
            claim(owners, plugin, f"{kind} {page.title!r}")
            claim(owners, plugin, f"{kind} {page.path}")
            pages.append(page)
    return sorted(pages, key=lambda page: page.title.casefold())
