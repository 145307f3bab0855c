"""A portal opened in this process, with what the installed plugins declare."""

from __future__ import annotations

from pathlib import Path

from eportal_core.config import Config
from eportal_core.plugins import Plugins, load
from eportal_core.portal import Portal, open_portal


def opened(data_dir: Path, plugins: Plugins | None = None, **settings: object) -> Portal:
    """The portal on ``data_dir``; of all installed plugins, or of ``plugins``."""
    plugins = load() if plugins is None else plugins
    return open_portal(Config.of(data_dir, declared=plugins.settings(), **settings), plugins)
