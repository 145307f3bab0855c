"""Levels that servers ran, how many have each tag, and an index for the history of one row."""

from typing import Any

from peewee import BigIntegerField, CompositeKey, IntegerField, Model, TextField
from playhouse.migrate import SchemaMigrator

from eportal_core.db import history


def up(migrator: SchemaMigrator, db: Any) -> None:
    class LevelHistory(Model):
        number = IntegerField()
        time = BigIntegerField()
        kernel_id = TextField(default="")
        patch_level = BigIntegerField()

        class Meta:
            database = db
            table_name = "level_history"
            primary_key = CompositeKey("number", "time")
            without_rowid = True

    class Tag(Model):
        tag = TextField(primary_key=True)
        servers = IntegerField()

        class Meta:
            database = db
            table_name = "tag"
            without_rowid = True

    db.create_tables([LevelHistory, Tag])
    db.execute_sql('CREATE INDEX change_table_key ON change ("table", key)')
    history.create()
