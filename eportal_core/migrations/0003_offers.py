"""What the patch source lists."""

from peewee import BigIntegerField, BooleanField, Database, Model, TextField
from playhouse.migrate import SchemaMigrator


def up(migrator: SchemaMigrator, db: Database) -> None:
    class Offer(Model):
        id = TextField(primary_key=True)
        product = TextField()
        name = TextField()
        position = TextField()
        released = TextField(default="")
        channels = TextField()
        distros = TextField()
        archive = TextField()
        size = BigIntegerField()
        sha256 = TextField()
        state = TextField()
        appeared = BigIntegerField()
        listed = BooleanField(default=True)

        class Meta:
            database = db
            table_name = "offer"
            indexes = ((("product", "position"), False),)

    db.create_tables([Offer])
