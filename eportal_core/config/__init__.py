"""Settings: declared by the core and the plugins, read from the environment, files, or neither.

``load`` reads them, ``Config`` is what everybody else is given, ``reference`` documents them.
"""

from __future__ import annotations

from eportal_core.config.loader import load
from eportal_core.config.markdown import reference
from eportal_core.config.model import DEFAULT_PATH, Config
from eportal_core.config.values import Value
from eportal_core.settings import Setting

__all__ = ["DEFAULT_PATH", "Config", "Setting", "Value", "load", "reference"]
