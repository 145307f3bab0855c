"""The two decorators of the plugin system: ``hookspec`` declares, ``hookimpl`` implements.

And two names: ``PROJECT`` begins every hook's, ``THE_CORE`` is who brings what no plugin does.
"""

from __future__ import annotations

import pluggy

PROJECT = "eportal"
THE_CORE = "the core"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
