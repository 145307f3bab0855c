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
    time = MomentField(null=True)
    uptime = peewee.BigIntegerField(null=True)
    digest = peewee.BlobField(null=True)

    class Meta:
        without_rowid = True


class Facts(Table):
    """What a server said of itself; ``updated`` is when its patch level last changed."""

    server = peewee.ForeignKeyField(
        Server, primary_key=True, column_name="server", on_delete="CASCADE"
    )
    hostname = peewee.TextField()
    ip = peewee.TextField(default="")
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
    distro = peewee.TextField(null=True)
    distro_version = peewee.TextField(null=True)
    updated = MomentField(null=True)


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
