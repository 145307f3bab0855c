"""What a target is called: the library or program that a build-id belongs to."""

from typing import Any

from playhouse.migrate import SchemaMigrator


def up(migrator: SchemaMigrator, db: Any) -> None:
    db.execute_sql("ALTER TABLE level ADD COLUMN name TEXT NOT NULL DEFAULT ''")
