"""The peer: the same check-in the obvious way, with Flask, peewee and one commit a request.

A model of a small web application, not of any product: three SELECTs (server, its key, the key's
feed), the feed's highest level for the kernel, and an UPDATE of 18 columns, committed before the
answer. Run by ``gunicorn "peer:create('<database>', '<form>')"``, one sync worker.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

from data import FACTS
from flask import Flask, Response, request
from peewee import (
    BooleanField,
    CharField,
    CompositeKey,
    DateTimeField,
    ForeignKeyField,
    IntegerField,
    Model,
    SqliteDatabase,
    fn,
)

database = SqliteDatabase(None)


class Record(Model):
    class Meta:
        database = database


class Feed(Record):
    name = CharField(primary_key=True)


class Key(Record):
    id = CharField(primary_key=True)
    feed = ForeignKeyField(Feed)


class Level(Record):
    kernel_id = CharField()
    feed = ForeignKeyField(Feed)
    patchset = CharField()
    level = IntegerField()
    enabled = BooleanField(default=True)

    class Meta:
        primary_key = CompositeKey("kernel_id", "feed", "patchset")


class Server(Record):
    id = CharField(primary_key=True)
    key = ForeignKeyField(Key)
    registered = DateTimeField()
    checkin = DateTimeField(null=True)
    updated = DateTimeField(null=True)
    hostname = CharField()
    ip = CharField(null=True)
    release = CharField(null=True)
    version = CharField(null=True)
    euname = CharField(null=True)
    machine = CharField(null=True)
    processor = CharField(null=True)
    virt = CharField(null=True)
    uptime = IntegerField(null=True)
    kernel_id = CharField(null=True)
    patch_level = IntegerField(null=True)
    patch_type = CharField(null=True)
    tags = CharField(null=True)
    kcare_version = CharField(null=True)
    distro = CharField(null=True)
    distro_version = CharField(null=True)


TABLES = (Feed, Key, Level, Server)


def connect(path: str) -> None:
    """Bind the models to the database at ``path``: WAL, and every commit reaches the disk."""
    database.init(path, pragmas={"journal_mode": "wal", "synchronous": "full"}, timeout=10)


def create(path: str, form: str) -> Flask:
    """The application.

    form: ``tuned`` keeps its connection; ``documented`` opens and closes one a request, as
        peewee's documentation shows for Flask.
    """
    connect(path)
    app = Flask("peer")
    if form == "documented":

        @app.before_request
        def open_connection() -> None:
            database.connect()

        @app.teardown_request
        def close_connection(_error: BaseException | None) -> None:
            if not database.is_closed():
                database.close()
    elif form != "tuned":
        raise ValueError(f"no such form of the peer: {form}")

    app.add_url_rule("/readyz", view_func=ready)
    app.add_url_rule("/<kernel_id>/latest.v1", view_func=latest)
    return app


def ready() -> Response:
    return Response("ok", mimetype="text/plain")


def latest(kernel_id: str) -> Response:
    name = request.authorization.username if request.authorization else None
    server = Server.get_or_none(Server.id == name)
    if server is None:
        return Response("unknown server", 401, mimetype="text/plain")
    level = (
        Level.select(fn.MAX(Level.level))
        .where(Level.kernel_id == kernel_id, Level.feed == server.key.feed, Level.enabled)
        .scalar()
    )
    if level is None:
        return Response("unknown kernel", 404, mimetype="text/plain")
    store(server, request.args["info"])
    return Response(str(level), mimetype="text/plain")


def store(server: Server, blob: str) -> None:
    """Update the server's row with the facts in ``blob``, base64url of a JSON object."""
    info = json.loads(base64.urlsafe_b64decode(blob + "=" * (-len(blob) % 4)))
    now = datetime.now(UTC).replace(tzinfo=None)
    columns = {name: info[name] for name in FACTS}
    columns["checkin"] = now
    columns["updated"] = now if info["patch_level"] != server.patch_level else server.updated
    Server.update(columns).where(Server.id == server.id).execute()
