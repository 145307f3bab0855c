"""The job that lets patch files go which nobody asked for any more."""

from __future__ import annotations

from eportal_core.caching.copies import Copies, is_known
from eportal_core.caching.patches import room_of
from eportal_core.portal import Portal
from eportal_core.source.client import is_mirror


def evict_cache(portal: Portal) -> str:
    """Remove what is too old, too much, or of patchsets that were deleted; says what is left.

    Portals below that read from this one may ask for what no patchset here has: there, all stays.
    Nothing is said when there never was a cache.

    Raises:
        StorageError: the disk refused.
    """
    copies = Copies(portal.config.data_dir / "cache")
    if not copies.folder.is_dir():
        return ""
    left = room_of(portal, copies, None if is_mirror(portal.config) else is_known).evict()
    return f"{left >> 20} MiB of patch files are cached"
