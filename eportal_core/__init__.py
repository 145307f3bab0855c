"""ePortal's core, and the names that plugins may use.

What is listed here is stable as docs/plugins.md says; everything else may move. Names load when
they are first used: the command line is started often and needs few of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from eportal_core.errors import (
    ArchiveError,
    Conflict,
    InvalidValue,
    NotFound,
    PortalError,
    StorageError,
)
from eportal_core.markers import hookimpl
from eportal_core.patchsets.plugin import PatchsetPlugin
from eportal_core.patchsets.spec import HEX40, PatchsetSpec
from eportal_core.types import Check, Event, Job, Product, Release, ReleasedLevel

if TYPE_CHECKING:
    from eportal_core.agent.access import admit, memory_of
    from eportal_core.agent.files import level_file
    from eportal_core.config import Setting
    from eportal_core.patchsets.store import PatchsetStore
    from eportal_core.portal import Portal
    from eportal_core.storage import Entry

_LAZY = {
    "Entry": "eportal_core.storage",
    "PatchsetStore": "eportal_core.patchsets.store",
    "Portal": "eportal_core.portal",
    "Setting": "eportal_core.config",
    "admit": "eportal_core.agent.access",
    "level_file": "eportal_core.agent.files",
    "memory_of": "eportal_core.agent.access",
}

__all__ = [
    "HEX40",
    "ArchiveError",
    "Check",
    "Conflict",
    "Entry",
    "Event",
    "InvalidValue",
    "Job",
    "NotFound",
    "PatchsetPlugin",
    "PatchsetSpec",
    "PatchsetStore",
    "Portal",
    "PortalError",
    "Product",
    "Release",
    "ReleasedLevel",
    "Setting",
    "StorageError",
    "admit",
    "hookimpl",
    "level_file",
    "memory_of",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
