"""The two decorators of the plugin system: ``hookspec`` declares, ``hookimpl`` implements.

And two names: ``PROJECT`` begins every hook's, ``THE_CORE`` is who brings what no plugin does.
"""

from __future__ import annotations

import pluggy

PROJECT = "eportal"
THE_CORE = "the core"

hookspec = pluggy.HookspecMarker(PROJECT)
#: Marks a function as a plugin's answer to the hook of its name; ``tryfirst``, ``trylast`` and
#: ``wrapper`` mean what they mean in pluggy.
hookimpl = pluggy.HookimplMarker(PROJECT)
