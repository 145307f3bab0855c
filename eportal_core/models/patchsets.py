"""Patchsets, the levels they bring, and their state in each feed."""

from __future__ import annotations

from typing import Any

import peewee

from eportal_core.models.base import MomentField, NamesField, Table, now
from eportal_core.models.change import RecordedTable
from eportal_core.models.feeds import Feed

ENABLED = "enabled"
DISABLED = "disabled"
UNDEPLOYED = "undeployed"


class Patchset(RecordedTable):
    """A named release of patches of one product; ``id`` is ``<product>/<name>``.

    position: sorts the patchsets of a product, oldest first. released: as the archive says.
    appeared: when it came here. archive: its file in ``arch/``, empty when only its manifest is
    here and its files come when asked for. sha256: of the archive. size: bytes of its content.
    """

    id = peewee.TextField(primary_key=True)
    product = peewee.TextField()
    name = peewee.TextField()
    position = peewee.TextField()
    released = peewee.TextField(default="")
    appeared = MomentField(default=now)
    channels = NamesField()
    distros = NamesField()
    changelog = peewee.TextField(default="")
    archive = peewee.TextField()
    sha256 = peewee.TextField()
    size = peewee.BigIntegerField()

    class Meta:
        indexes = ((("product", "position"), False),)

    @staticmethod
    def key(product: str, name: str) -> str:
        """The ``id`` of the patchset ``name`` of ``product``."""
        return f"{product}/{name}"


class Level(Table):
    """What a patchset brings for a target; immutable. ``digest``: see ``manifest.Target.digest``.

    Not in the change log: a patchset's row stands for its levels.
    """

    patchset_id: str
    patchset = peewee.ForeignKeyField(
        Patchset, column_name="patchset", on_delete="CASCADE", index=False
    )
    target = peewee.TextField()
    level = peewee.BigIntegerField()
    digest = peewee.TextField()
    distro = peewee.TextField(default="")
    uname = peewee.TextField(default="")
    name = peewee.TextField(default="")

    class Meta:
        primary_key = peewee.CompositeKey("patchset", "target")
        indexes = ((("target", "level"), False),)
        without_rowid = True


class FeedPatchset(RecordedTable):
    """A patchset's state in a feed, enabled or disabled; no row means undeployed."""

    feed_id: str
    patchset_id: str
    feed = peewee.ForeignKeyField(Feed, column_name="feed", on_delete="CASCADE", index=False)
    patchset = peewee.ForeignKeyField(Patchset, column_name="patchset", on_delete="CASCADE")
    state = peewee.TextField()
    since = MomentField(default=now)

    class Meta:
        primary_key = peewee.CompositeKey("feed", "patchset")


class LatestLevel(Table):
    """The highest levels that a feed has enabled for a target, of the product that checks in.

    rank: how many levels are above it, 0 for the latest; there are ``RANKS`` of them at most.
    True unless the feed is in ``StaleFeed``; ``operations.latest`` makes it true.
    """

    RANKS = 20

    feed = peewee.TextField()
    target = peewee.TextField()
    rank = peewee.IntegerField()
    level = peewee.BigIntegerField()

    class Meta:
        primary_key = peewee.CompositeKey("feed", "target", "rank")
        without_rowid = True


class StaleFeed(Table):
    """A feed of which something was enabled or disabled since its ``LatestLevel`` was computed.

    Triggers enter it (``db.search``), in the transaction of the change.
    """

    feed = peewee.TextField(primary_key=True)


def of_product(patchset: peewee.ForeignKeyField, product: str) -> Any:
    """The condition that a column with a patchset's id, such as ``Level.patchset``, is of one."""
    return patchset.startswith(Patchset.key(product, ""))


def enabled_levels(product: str, feed: str) -> Any:
    """Levels of the product's patchsets that are enabled in ``feed``, a query to be narrowed."""
    return (
        Level.select()
        .join(FeedPatchset, on=(FeedPatchset.patchset == Level.patchset))
        .where(
            FeedPatchset.feed == feed,
            FeedPatchset.state == ENABLED,
            of_product(FeedPatchset.patchset, product),
        )
    )
