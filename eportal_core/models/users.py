"""Who may use the admin side: users, their sessions, their API keys, and logins that failed."""

from __future__ import annotations

import peewee

from eportal_core.models.base import MomentField, NamesField, Table, now
from eportal_core.models.change import RecordedTable

#: The backend of users whose password is kept here.
LOCAL = "local"


class User(RecordedTable):
    """A person or a program; a readonly one may see all and change nothing.

    number: the ``id`` of the HTTP API, of this portal alone. backend: who checks the password,
    ``LOCAL`` or the name of a plugin's. password: its hash, empty when it is not kept here.
    """

    SECRET = ("password",)

    username = peewee.TextField(primary_key=True)
    number = peewee.IntegerField(unique=True)
    backend = peewee.TextField(default=LOCAL)
    password = peewee.TextField(default="")
    readonly = peewee.BooleanField(default=True)
    description = peewee.TextField(default="")
    created = MomentField(default=now)


class Session(Table):
    """A login in a browser. id: sha256 of what the cookie holds, hex.

    expires: None for one that ends with the browser. seen: when it was last used, to the minute.
    address, agent: whence it came, and the name that the browser gives itself.
    """

    user_id: str
    id = peewee.TextField(primary_key=True)
    user = peewee.ForeignKeyField(User, column_name="user", on_delete="CASCADE")
    created = MomentField(default=now)
    seen = MomentField(default=now)
    expires = MomentField(null=True)
    address = peewee.TextField(default="")
    agent = peewee.TextField(default="")


class ApiKey(RecordedTable):
    """A token of a user's. digest: sha256 of the token, hex; the token itself is nowhere.

    write: may change what its user may; without, it reads. products, feeds: those it is for, None
    for all.
    """

    SECRET = ("digest",)

    user_id: str
    id = peewee.TextField(primary_key=True)
    user = peewee.ForeignKeyField(User, column_name="user", on_delete="CASCADE")
    name = peewee.TextField()
    digest = peewee.TextField(unique=True)
    write = peewee.BooleanField(default=False)
    products = NamesField(null=True)
    feeds = NamesField(null=True)
    created = MomentField(default=now)
    expires = MomentField(null=True)


class ApiKeyUse(Table):
    """When an API key was last used, to the minute."""

    key = peewee.ForeignKeyField(ApiKey, primary_key=True, column_name="key", on_delete="CASCADE")
    time = MomentField()


class LoginFailure(Table):
    """A login that failed, for as long as it counts. username: a digest; it may be nobody's."""

    id = peewee.AutoField()
    username = peewee.TextField()
    address = peewee.TextField()
    time = MomentField(default=now)

    class Meta:
        indexes = ((("username", "time"), False), (("address", "time"), False))
