"""A portal opened in this process, with what the installed plugins declare."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from eportal_core import db
from eportal_core.config import Config
from eportal_core.plugins import Plugins, load
from eportal_core.portal import Portal, open_portal


def opened(data_dir: Path, plugins: Plugins | None = None, **settings: object) -> Portal:
    """The portal on ``data_dir``; of all installed plugins, or of ``plugins``."""
    if plugins is None:
        plugins = load()
        _prepare(data_dir)
    return open_portal(Config.of(data_dir, declared=plugins.settings(), **settings), plugins)


def _prepare(data_dir: Path) -> None:
    """Save a fresh portal the time to make its tables."""
    if not data_dir.exists():
        data_dir.mkdir(parents=True)
        (data_dir / db.FILE_NAME).touch(0o600)
        (data_dir / db.FILE_NAME).write_bytes(_fresh_database())


@cache
def _fresh_database() -> bytes:
    """The database of a portal that was opened once, with all installed plugins."""
    before = db.database.obj
    with TemporaryDirectory() as folder:
        plugins = load()
        open_portal(Config.of(Path(folder), declared=plugins.settings()), plugins)
        db.close()
        db.database.initialize(before)
        return (Path(folder) / db.FILE_NAME).read_bytes()
