"""Trust a patch source; the user log tells which, and which was trusted before."""

from __future__ import annotations

from eportal_core import db
from eportal_core.models import note
from eportal_core.portal import Portal


def pin(portal: Portal, root: bytes) -> str:
    """Trust ``root`` from now on; returns its fingerprint.

    Raises:
        InvalidValue, SourceRefused, StorageError: as from ``source.trust.pin``.
    """
    from eportal_core.source import trust

    before, after = trust.kept_fingerprint(portal.config), trust.fingerprint(root)
    with db.database.atomic():
        if after != before:
            note(
                "patch_source",
                "root",
                {"fingerprint": after},
                None if before is None else {"fingerprint": before},
            )
        trust.pin(portal.config, root)
    return after
