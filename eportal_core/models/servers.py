"""Servers, and what they report.

``server`` is who was registered, recorded in the change log. What an agent reports stands apart,
because it is written at every check-in: ``checkin`` is the narrow part that always changes,
``facts`` the wide part that seldom does.
"""

from __future__ import annotations

import peewee

from eportal_core.models.base import MomentField, Table, now
from eportal_core.models.change import RecordedTable
from eportal_core.models.feeds import Key


class Server(RecordedTable):
    """A registered machine; ``tags`` separated by ``;``, null when it has none."""

    key_id: str
    id = peewee.TextField(primary_key=True)
    key = peewee.ForeignKeyField(Key, column_name="key")
    hostname = peewee.TextField()
    tags = peewee.TextField(null=True)
    registered = MomentField(default=now)


class Checkin(Table):
    """When a server last asked; ``uptime`` in seconds, ``digest`` of the facts it reported."""

    server = peewee.ForeignKeyField(
        Server, primary_key=True, column_name="server", on_delete="CASCADE"
    )
    time = MomentField(null=True, index=True)
    uptime = peewee.BigIntegerField(null=True)
    digest = peewee.BlobField(null=True)

    class Meta:
        without_rowid = True


class Facts(Table):
    """What a server said of itself; ``updated`` is when its patch level last changed.

    number: by which lists and the search know the server, in the order of registration. key,
    registered, tags: the server's own, kept here by triggers (``db.search``), so that a list
    reads one wide row; nobody else writes them.
    """

    number = peewee.AutoField()
    server = peewee.ForeignKeyField(Server, column_name="server", on_delete="CASCADE", unique=True)
    key = peewee.TextField(null=True, index=True)
    registered = MomentField(null=True, index=True)
    hostname = peewee.TextField(collation="NOCASE", index=True)
    ip = peewee.TextField(default="", collation="NOCASE", index=True)
    tags = peewee.TextField(null=True)
    kernel_id = peewee.TextField(null=True)
    patch_level = peewee.BigIntegerField(null=True)
    patch_type = peewee.TextField(null=True)
    euname = peewee.TextField(null=True)
    release = peewee.TextField(null=True)
    version = peewee.TextField(null=True)
    machine = peewee.TextField(null=True)
    processor = peewee.TextField(null=True)
    virt = peewee.TextField(null=True)
    kcare_version = peewee.TextField(null=True)
    distro = peewee.TextField(null=True, index=True)
    distro_version = peewee.TextField(null=True)
    updated = MomentField(null=True, index=True)

    class Meta:
        indexes = (
            (("key", "kernel_id", "patch_level"), False),
            (("kernel_id", "patch_level"), False),
        )


class Fleet(Table):
    """How many servers there are of a kind; what is not known is an empty text, a level -1.

    Kept by triggers: whatever is counted by these columns reads some thousand rows, not a million.
    A kind that none is of any more may stay for a while, with 0 servers.
    """

    key = peewee.TextField()
    kernel_id = peewee.TextField()
    patch_level = peewee.BigIntegerField()
    distro = peewee.TextField()
    virt = peewee.TextField()
    machine = peewee.TextField()
    release = peewee.TextField()
    euname = peewee.TextField()
    servers = peewee.IntegerField()

    class Meta:
        primary_key = peewee.CompositeKey(
            *("key", "kernel_id", "patch_level", "distro", "virt", "machine", "release", "euname")
        )
        without_rowid = True


class ServerTag(Table):
    """Each tag of each server, whose ``number`` is that of ``Facts``. Kept by triggers."""

    tag = peewee.TextField()
    number = peewee.IntegerField()

    class Meta:
        primary_key = peewee.CompositeKey("tag", "number")
        without_rowid = True


class Tag(Table):
    """How many servers have a tag; one that none has is not there. Kept by triggers."""

    tag = peewee.TextField(primary_key=True)
    servers = peewee.IntegerField()

    class Meta:
        without_rowid = True


class LevelHistory(Table):
    """A level that a server began to run, the last ``db.history.LEVELS_MAX`` of each server.

    number: that of ``Facts``. kernel_id: empty when it was not known. Kept by triggers.
    """

    number = peewee.IntegerField()
    time = MomentField()
    kernel_id = peewee.TextField(default="")
    patch_level = peewee.BigIntegerField()

    class Meta:
        primary_key = peewee.CompositeKey("number", "time")
        without_rowid = True


class Identity(Table):
    """A machine seen under a server's id; more than one that come in turns are clones.

    returns: how often this identity came back after another one had been seen.
    """

    server = peewee.ForeignKeyField(Server, column_name="server", on_delete="CASCADE", index=False)
    hostname = peewee.TextField()
    kernel_id = peewee.TextField(default="")
    first_seen = MomentField()
    last_seen = MomentField()
    returns = peewee.IntegerField(default=0)

    class Meta:
        primary_key = peewee.CompositeKey("server", "hostname")
