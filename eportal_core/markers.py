"""The two decorators of the plugin system: ``hookspec`` declares, ``hookimpl`` implements."""

from __future__ import annotations

import pluggy

PROJECT = "eportal"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
