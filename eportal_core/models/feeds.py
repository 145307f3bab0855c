"""Feeds, and the keys that bind servers to them."""

from __future__ import annotations

import peewee

from eportal_core.models.base import MomentField, NamesField, now
from eportal_core.models.change import RecordedTable

MAIN = "main"
CHANNELS = ("default", "test", "unstable")


class Feed(RecordedTable):
    """The set of patchsets that a group of servers may have; ``main`` always exists.

    deploy_after: hours between a patchset's appearance here and its deployment to the feed.
    """

    name = peewee.TextField(primary_key=True)
    auto = peewee.BooleanField(default=False)
    deploy_after = peewee.IntegerField(default=0)
    channel = peewee.TextField(default="default")


class Key(RecordedTable):
    """Registers servers; ``server_limit`` 0 is no limit, ``products`` null the default ones."""

    feed_id: str
    key = peewee.TextField(primary_key=True)
    feed = peewee.ForeignKeyField(Feed, column_name="feed")
    note = peewee.TextField(default="")
    server_limit = peewee.IntegerField(default=0)
    products = NamesField(null=True)
    enabled = peewee.BooleanField(default=True)
    created = MomentField(default=now)
