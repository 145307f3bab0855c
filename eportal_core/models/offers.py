"""What the patch source lists, as it was last seen."""

from __future__ import annotations

import peewee

from eportal_core.models.base import MomentField, NamesField, now
from eportal_core.models.change import RecordedTable

AVAILABLE = "available"
#: Disabled in every feed at once, and not to be enabled.
BLOCKED = "blocked"


class Offer(RecordedTable):
    """A patchset that the source lists or once listed; ``id`` is that of the patchset.

    position: sorts the offers of a product, oldest first. released: as the source says.
    archive: its file name. size, sha256: of the archive, bytes and hex. state: ``AVAILABLE``,
    ``DISABLED`` or ``BLOCKED``. appeared: when it was first seen here. listed: whether the source
    still lists it.
    """

    id = peewee.TextField(primary_key=True)
    product = peewee.TextField()
    name = peewee.TextField()
    position = peewee.TextField()
    released = peewee.TextField(default="")
    channels = NamesField()
    distros = NamesField()
    archive = peewee.TextField()
    size = peewee.BigIntegerField()
    sha256 = peewee.TextField()
    state = peewee.TextField()
    appeared = MomentField(default=now)
    listed = peewee.BooleanField(default=True)

    class Meta:
        indexes = ((("product", "position"), False),)
