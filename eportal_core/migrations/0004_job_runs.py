"""How periodic work went, and when it is done next."""

from peewee import BigIntegerField, BooleanField, Database, Model, TextField
from playhouse.migrate import SchemaMigrator


def up(migrator: SchemaMigrator, db: Database) -> None:
    class JobRun(Model):
        name = TextField(primary_key=True)
        started = BigIntegerField(null=True)
        ended = BigIntegerField(null=True)
        ok = BooleanField(null=True)
        result = TextField(default="")
        planned = BigIntegerField(null=True)

        class Meta:
            database = db
            table_name = "job_run"

    db.create_tables([JobRun])
