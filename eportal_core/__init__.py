"""ePortal's core, and the names that plugins may use.

What is listed here is stable as docs/plugins.md says; everything else may move. Names load when
they are first used: the command line is started often and needs few of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from eportal_core.counting import counted
from eportal_core.errors import (
    AccessDenied,
    ArchiveError,
    Conflict,
    InvalidValue,
    NotFound,
    PortalError,
    StorageError,
    UpstreamError,
    WrongBytes,
)
from eportal_core.markers import hookimpl
from eportal_core.patchsets.plugin import PatchsetPlugin
from eportal_core.patchsets.spec import BUILD_ID, PatchsetSpec
from eportal_core.types import (
    Caller,
    Carried,
    CarriedFile,
    Check,
    Event,
    Guide,
    Identity,
    Job,
    Page,
    Product,
    Release,
    ReleasedLevel,
    SettingsPage,
    SettingsTest,
    Tree,
)

if TYPE_CHECKING:
    from eportal_core import http
    from eportal_core.admin.access import require_user
    from eportal_core.admin.api.operation import Access
    from eportal_core.admin.login import lead_away, sign_in
    from eportal_core.admin.ui.visit import Form, View, Visit
    from eportal_core.agent.access import admit
    from eportal_core.agent.levels import feed_revision, is_supported
    from eportal_core.caching.flights import Flights, while_connected
    from eportal_core.caching.places import held
    from eportal_core.caching.room import Room, file_stats, remove_old, sweep_partial
    from eportal_core.commands.listing import json_option, show
    from eportal_core.commands.secret import read_secret
    from eportal_core.commands.session import pass_portal
    from eportal_core.commands.usage import Group
    from eportal_core.config import Setting
    from eportal_core.downloads import download
    from eportal_core.patchsets.commands import patchset_commands
    from eportal_core.patchsets.levels import LatestLevel, latest_levels
    from eportal_core.patchsets.progress import progress_bar
    from eportal_core.patchsets.store import PatchsetStore
    from eportal_core.portal import Portal
    from eportal_core.source.bundle.carried import CarriedFolder
    from eportal_core.storage import Entry, disk_errors, sync_tree, write_file
    from eportal_core.web.address import public_address
    from eportal_core.web.files import serve_file

_LAZY = {
    "Access": "eportal_core.admin.api.operation",
    "CarriedFolder": "eportal_core.source.bundle.carried",
    "Entry": "eportal_core.storage",
    "Flights": "eportal_core.caching.flights",
    "Form": "eportal_core.admin.ui.visit",
    "Group": "eportal_core.commands.usage",
    "LatestLevel": "eportal_core.patchsets.levels",
    "PatchsetStore": "eportal_core.patchsets.store",
    "Portal": "eportal_core.portal",
    "Room": "eportal_core.caching.room",
    "Setting": "eportal_core.config",
    "View": "eportal_core.admin.ui.visit",
    "Visit": "eportal_core.admin.ui.visit",
    "admit": "eportal_core.agent.access",
    "disk_errors": "eportal_core.storage",
    "download": "eportal_core.downloads",
    "feed_revision": "eportal_core.agent.levels",
    "file_stats": "eportal_core.caching.room",
    "held": "eportal_core.caching.places",
    "is_supported": "eportal_core.agent.levels",
    "json_option": "eportal_core.commands.listing",
    "lead_away": "eportal_core.admin.login",
    "latest_levels": "eportal_core.patchsets.levels",
    "pass_portal": "eportal_core.commands.session",
    "patchset_commands": "eportal_core.patchsets.commands",
    "progress_bar": "eportal_core.patchsets.progress",
    "public_address": "eportal_core.web.address",
    "read_secret": "eportal_core.commands.secret",
    "remove_old": "eportal_core.caching.room",
    "require_user": "eportal_core.admin.access",
    "serve_file": "eportal_core.web.files",
    "show": "eportal_core.commands.listing",
    "sweep_partial": "eportal_core.caching.room",
    "sign_in": "eportal_core.admin.login",
    "sync_tree": "eportal_core.storage",
    "while_connected": "eportal_core.caching.flights",
    "write_file": "eportal_core.storage",
}

_MODULES = ("http",)

__all__ = [
    "BUILD_ID",
    "Access",
    "AccessDenied",
    "ArchiveError",
    "Caller",
    "Carried",
    "CarriedFile",
    "CarriedFolder",
    "Check",
    "Conflict",
    "Entry",
    "Event",
    "Flights",
    "Form",
    "Group",
    "Guide",
    "Identity",
    "InvalidValue",
    "Job",
    "LatestLevel",
    "NotFound",
    "Page",
    "PatchsetPlugin",
    "PatchsetSpec",
    "PatchsetStore",
    "Portal",
    "PortalError",
    "Product",
    "Release",
    "ReleasedLevel",
    "Room",
    "Setting",
    "SettingsPage",
    "SettingsTest",
    "StorageError",
    "Tree",
    "UpstreamError",
    "View",
    "Visit",
    "WrongBytes",
    "admit",
    "counted",
    "disk_errors",
    "download",
    "feed_revision",
    "file_stats",
    "held",
    "hookimpl",
    "http",
    "is_supported",
    "json_option",
    "latest_levels",
    "lead_away",
    "pass_portal",
    "patchset_commands",
    "progress_bar",
    "public_address",
    "read_secret",
    "remove_old",
    "require_user",
    "serve_file",
    "show",
    "sign_in",
    "sweep_partial",
    "sync_tree",
    "while_connected",
    "write_file",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
