"""Pages that plugins bring, beside those of the core."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import BaseLoader, FileSystemLoader, PrefixLoader

from eportal_core.admin.ui.addresses import BASE
from eportal_core.admin.ui.settings import views_of_plugins
from eportal_core.admin.ui.visit import View
from eportal_core.markers import THE_CORE
from eportal_core.plugins import claim
from eportal_core.portal import Portal

_FOLDER = "templates"
_PAGE = "page "


@dataclass(frozen=True)
class Brought:
    """All pages. templates: of plugins, below their names. by: plugin by ``METHOD path``."""

    views: Sequence[View]
    templates: BaseLoader
    by: Mapping[str, str]


def all_views(portal: Portal, own: Sequence[View]) -> Brought:
    """``own`` and what plugins bring.

    Raises:
        PluginError: a method and path is brought twice.
    """
    owners: dict[str, str] = {}
    views = list(own)
    folders: dict[str, BaseLoader] = {}
    for view in own:
        claim(owners, THE_CORE, _page(view))
    for plugin, view in views_of_plugins(portal):
        claim(owners, plugin, _page(view))
        views.append(view)
    for plugin, brought in portal.plugins.lists("eportal_views", View, portal=portal):
        for view in brought:
            claim(owners, plugin, _page(view))
            views.append(view)
            folders[plugin] = FileSystemLoader(_beside(view))
    by = {page.removeprefix(_PAGE): owner for page, owner in owners.items() if owner != THE_CORE}
    return Brought(views, PrefixLoader(folders), by)


def _page(view: View) -> str:
    return f"{_PAGE}{view.method} {BASE}{view.path}"


def _beside(view: View) -> Path:
    """The folder of templates in the package of the view's function."""
    package = view.function.__module__.partition(".")[0]
    file = sys.modules[package].__file__
    return Path(file or package).with_name(_FOLDER)
