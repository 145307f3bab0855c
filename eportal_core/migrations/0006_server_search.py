"""Servers that are found fast: facts with a number, indexes, groups, tags, latest levels."""

from typing import Any

from peewee import (
    AutoField,
    BigIntegerField,
    CompositeKey,
    ForeignKeyField,
    IntegerField,
    Model,
    TextField,
)
from playhouse.migrate import SchemaMigrator

from eportal_core.db import search


def up(migrator: SchemaMigrator, db: Any) -> None:
    class Server(Model):
        id = TextField(primary_key=True)

        class Meta:
            database = db
            table_name = "server"

    class Facts(Model):
        number = AutoField()
        server = ForeignKeyField(Server, column_name="server", on_delete="CASCADE", unique=True)
        key = TextField(null=True, index=True)
        registered = BigIntegerField(null=True, index=True)
        hostname = TextField(collation="NOCASE", index=True)
        ip = TextField(default="", collation="NOCASE", index=True)
        tags = TextField(null=True)
        kernel_id = TextField(null=True)
        patch_level = BigIntegerField(null=True)
        patch_type = TextField(null=True)
        euname = TextField(null=True)
        release = TextField(null=True)
        version = TextField(null=True)
        machine = TextField(null=True)
        processor = TextField(null=True)
        virt = TextField(null=True)
        kcare_version = TextField(null=True)
        distro = TextField(null=True, index=True)
        distro_version = TextField(null=True)
        updated = BigIntegerField(null=True, index=True)

        class Meta:
            database = db
            table_name = "facts"
            indexes = (
                (("key", "kernel_id", "patch_level"), False),
                (("kernel_id", "patch_level"), False),
            )

    class Fleet(Model):
        key = TextField()
        kernel_id = TextField()
        patch_level = BigIntegerField()
        distro = TextField()
        virt = TextField()
        machine = TextField()
        release = TextField()
        euname = TextField()
        servers = IntegerField()

        class Meta:
            database = db
            table_name = "fleet"
            primary_key = CompositeKey(
                *("key", "kernel_id", "patch_level", "distro", "virt"),
                *("machine", "release", "euname"),
            )
            without_rowid = True

    class ServerTag(Model):
        tag = TextField()
        number = IntegerField()

        class Meta:
            database = db
            table_name = "server_tag"
            primary_key = CompositeKey("tag", "number")
            without_rowid = True

    class LatestLevel(Model):
        feed = TextField()
        target = TextField()
        rank = IntegerField()
        level = BigIntegerField()

        class Meta:
            database = db
            table_name = "latest_level"
            primary_key = CompositeKey("feed", "target", "rank")
            without_rowid = True

    class StaleFeed(Model):
        feed = TextField(primary_key=True)

        class Meta:
            database = db
            table_name = "stale_feed"

    db.execute_sql("ALTER TABLE facts RENAME TO facts_before")
    db.create_tables([Facts, Fleet, ServerTag, LatestLevel, StaleFeed])
    db.execute_sql("CREATE INDEX checkin_time ON checkin (time)")
    search.create()
    names = (
        "server, hostname, ip, kernel_id, patch_level, patch_type, euname, release, version, "
        "machine, processor, virt, kcare_version, distro, distro_version, updated"
    )
    db.execute_sql(f"INSERT INTO facts ({names}) SELECT {names} FROM facts_before ORDER BY rowid")
    db.execute_sql("DROP TABLE facts_before")
    db.execute_sql("INSERT INTO stale_feed (feed) SELECT name FROM feed")
