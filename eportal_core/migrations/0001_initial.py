"""The first schema."""

from peewee import (
    BigAutoField,
    BigIntegerField,
    BlobField,
    BooleanField,
    CompositeKey,
    Database,
    ForeignKeyField,
    IntegerField,
    Model,
    TextField,
)
from playhouse.migrate import SchemaMigrator


def up(migrator: SchemaMigrator, db: Database) -> None:
    class Change(Model):
        sequence = BigAutoField()
        node = TextField()
        clock = BigIntegerField()
        table = TextField()
        key = TextField()
        row = TextField(null=True)
        actor = TextField()
        source = TextField()

        class Meta:
            database = db
            table_name = "change"

    class Feed(Model):
        name = TextField(primary_key=True)
        auto = BooleanField(default=False)
        deploy_after = IntegerField(default=0)
        channel = TextField(default="default")

        class Meta:
            database = db
            table_name = "feed"

    class Key(Model):
        key = TextField(primary_key=True)
        feed = ForeignKeyField(Feed, column_name="feed")
        note = TextField(default="")
        server_limit = IntegerField(default=0)
        products = TextField(null=True)
        enabled = BooleanField(default=True)
        created = BigIntegerField()

        class Meta:
            database = db
            table_name = "key"

    class Server(Model):
        id = TextField(primary_key=True)
        key = ForeignKeyField(Key, column_name="key")
        hostname = TextField()
        tags = TextField(null=True)
        registered = BigIntegerField()

        class Meta:
            database = db
            table_name = "server"

    class Checkin(Model):
        server = ForeignKeyField(
            Server, primary_key=True, column_name="server", on_delete="CASCADE"
        )
        time = BigIntegerField(null=True)
        uptime = BigIntegerField(null=True)
        digest = BlobField(null=True)

        class Meta:
            database = db
            table_name = "checkin"
            without_rowid = True

    class Facts(Model):
        server = ForeignKeyField(
            Server, primary_key=True, column_name="server", on_delete="CASCADE"
        )
        hostname = TextField()
        ip = TextField(default="")
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
        distro = TextField(null=True)
        distro_version = TextField(null=True)
        updated = BigIntegerField(null=True)

        class Meta:
            database = db
            table_name = "facts"

    class Identity(Model):
        server = ForeignKeyField(Server, column_name="server", on_delete="CASCADE", index=False)
        hostname = TextField()
        kernel_id = TextField(default="")
        first_seen = BigIntegerField()
        last_seen = BigIntegerField()
        returns = IntegerField(default=0)

        class Meta:
            database = db
            table_name = "identity"
            primary_key = CompositeKey("server", "hostname")

    class Patchset(Model):
        id = TextField(primary_key=True)
        product = TextField()
        name = TextField()
        position = TextField()
        released = TextField(default="")
        appeared = BigIntegerField()
        channels = TextField()
        distros = TextField()
        changelog = TextField(default="")
        archive = TextField()
        sha256 = TextField()
        size = BigIntegerField()

        class Meta:
            database = db
            table_name = "patchset"
            indexes = ((("product", "position"), False),)

    class Level(Model):
        patchset = ForeignKeyField(
            Patchset, column_name="patchset", on_delete="CASCADE", index=False
        )
        target = TextField()
        level = BigIntegerField()
        digest = TextField()
        distro = TextField(default="")
        uname = TextField(default="")

        class Meta:
            database = db
            table_name = "level"
            primary_key = CompositeKey("patchset", "target")
            indexes = ((("target", "level"), False),)
            without_rowid = True

    class FeedPatchset(Model):
        feed = ForeignKeyField(Feed, column_name="feed", on_delete="CASCADE", index=False)
        patchset = ForeignKeyField(Patchset, column_name="patchset", on_delete="CASCADE")
        state = TextField()
        since = BigIntegerField()

        class Meta:
            database = db
            table_name = "feed_patchset"
            primary_key = CompositeKey("feed", "patchset")

    db.create_tables(
        [Change, Feed, Key, Server, Checkin, Facts, Identity, Patchset, Level, FeedPatchset]
    )
    Feed.insert(name="main").execute()
