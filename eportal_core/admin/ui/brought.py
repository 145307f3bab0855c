"""Pages that plugins bring, beside those of the core."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from jinja2 import BaseLoader, FileSystemLoader, PrefixLoader

from eportal_core.admin.ui.addresses import BASE
from eportal_core.admin.ui.settings import views_of_plugins
from eportal_core.admin.ui.visit import View
from eportal_core.markers import THE_CORE
from eportal_core.plugins import claim
from eportal_core.portal import Portal

_FOLDER = "templates"


def all_views(portal: Portal, own: Sequence[View]) -> tuple[list[View], BaseLoader]:
    """``own`` and what plugins bring, and the templates of those, below the plugin's name.

    Raises:
        PluginError: a method and path is brought twice.
    """
    owners: dict[str, str] = {}
    views = list(own)
    folders: dict[str, BaseLoader] = {}
    for view in own:
        claim(owners, THE_CORE, _told(view))
    for plugin, view in views_of_plugins(portal):
        claim(owners, plugin, _told(view))
        views.append(view)
    for plugin, brought in portal.plugins.each("eportal_views", portal=portal):
        for view in brought:
            claim(owners, plugin, _told(view))
            views.append(view)
            folders[plugin] = FileSystemLoader(_beside(view))
    return views, PrefixLoader(folders)


def _told(view: View) -> str:
    return f"page {view.method} {BASE}{view.path}"


def _beside(view: View) -> Path:
    """The folder of templates in the package of the view's function."""
    package = view.function.__module__.partition(".")[0]
    file = sys.modules[package].__file__
    return Path(file or package).with_name(_FOLDER)
