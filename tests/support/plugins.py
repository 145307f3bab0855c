"""Plugins as they come from outside: objects and modules that are named by entry points."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

from eportal_core.config import Config
from eportal_core.plugins import GROUP, Plugins, load
from eportal_core.portal import Portal, open_portal


class Installed:
    """Makes modules importable and names them as installed plugins."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.monkeypatch = monkeypatch
        self.folder = folder
        self.points: list[EntryPoint] = []

    def plugin(self, name: str, value: object) -> None:
        module = ModuleType(f"test_plugin_{name}")
        vars(module)["plugin"] = value
        self.monkeypatch.setitem(sys.modules, module.__name__, module)
        self.points.append(EntryPoint(name, f"{module.__name__}:plugin", GROUP))

    def source(self, name: str, text: str) -> None:
        (self.folder / f"test_plugin_{name}.py").write_text(text)
        self.monkeypatch.syspath_prepend(str(self.folder))
        self.points.append(EntryPoint(name, f"test_plugin_{name}:plugin", GROUP))

    def load(self) -> Plugins:
        return load(self.points)


def opened(plugins: Plugins, data_dir: Path, **settings: object) -> Portal:
    """A fresh portal with these plugins and no other."""
    return open_portal(Config.of(data_dir, **settings), plugins)
