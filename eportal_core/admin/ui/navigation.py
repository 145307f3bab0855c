"""The navigation: groups of pages, those of the products and of the plugins among them."""

from __future__ import annotations

from dataclasses import dataclass

from eportal_core.admin.navigation import navigation as pages_of_plugins
from eportal_core.admin.ui.settings_pages import SOURCE
from eportal_core.admin.ui.settings_pages import pages_of_plugins as settings_of_plugins
from eportal_core.portal import Portal
from eportal_core.types import Page, Product


@dataclass(frozen=True)
class Group:
    """Pages under one heading; those of no heading stand by themselves."""

    title: str
    pages: tuple[Page, ...]


def groups(portal: Portal) -> tuple[Group, ...]:
    """What stands beside every page.

    Raises:
        PluginError: plugins bring the same title or path, or one that is not below ``/admin``.
    """
    products = (
        Page(product.title, f"/admin/patchsets/{product.command}")
        for product in sorted(portal.products.values(), key=rank)
    )
    return (
        Group("", (Page("Overview", "/admin/"),)),
        Group("Servers", (Page("Servers", "/admin/servers"), Page("Server tags", "/admin/tags"))),
        Group("", (Page("User log", "/admin/log"),)),
        Group(
            "Live patching",
            (*products, Page("Feeds", "/admin/feeds"), Page("Keys", "/admin/keys")),
        ),
        Group(
            "Settings",
            (
                Page("Patch source", SOURCE),
                *(Page(page.title, page.path) for _, page in settings_of_plugins(portal)),
                *pages_of_plugins(portal),
                Page("API keys", "/admin/api-keys"),
                Page("Users", "/admin/users"),
                Page("Jobs", "/admin/jobs"),
                Page("Storage", "/admin/storage"),
            ),
        ),
        Group("", (Page("Docs", "/admin/docs/"),)),
    )


def rank(product: Product) -> tuple[bool, bool, str]:
    """What most servers have comes first."""
    return not product.checkin, not product.default, product.title.casefold()
