"""The pages that plugins bring, as every page of the admin side links to them."""

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
    owners: dict[str, str] = {}
    pages: list[Page] = []
    for plugin, brought in portal.plugins.each("eportal_navigation", portal=portal):
        for page in brought:
            if not page.path.startswith("/admin/"):
                raise PluginError(f"Plugin {plugin} brings the page {page.path}, not below /admin.")
            claim(owners, plugin, f"page {page.title!r}")
            claim(owners, plugin, f"page {page.path}")
            pages.append(page)
    return sorted(pages, key=lambda page: page.title.casefold())
