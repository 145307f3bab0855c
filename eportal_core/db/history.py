"""What is kept beside the servers as they change: levels they ran, and how many have each tag.

Triggers, as in ``db.search``: a row is written when a level or a tag changes and at no other time,
whoever changes it.
"""

from __future__ import annotations

from eportal_core.db import database

#: Most levels that are kept of one server; the oldest go.
LEVELS_MAX = 50

_TRIGGERS = {
    "facts_levelled": (
        "AFTER UPDATE OF patch_level ON facts WHEN OLD.patch_level IS NOT NEW.patch_level",
        "INSERT OR REPLACE INTO level_history (number, time, kernel_id, patch_level)"
        " SELECT NEW.number, NEW.updated, coalesce(NEW.kernel_id, ''), NEW.patch_level"
        " WHERE NEW.updated IS NOT NULL AND NEW.patch_level IS NOT NULL;"
        " DELETE FROM level_history WHERE number = NEW.number AND time <= (SELECT time"
        " FROM level_history WHERE number = NEW.number ORDER BY time DESC"
        f" LIMIT 1 OFFSET {LEVELS_MAX});",
    ),
    "facts_forgotten": (
        "AFTER DELETE ON facts",
        "DELETE FROM level_history WHERE number = OLD.number;",
    ),
    "tag_given": (
        "AFTER INSERT ON server_tag",
        "INSERT INTO tag (tag, servers) VALUES (NEW.tag, 1)"
        " ON CONFLICT (tag) DO UPDATE SET servers = servers + 1;",
    ),
    "tag_taken": (
        "AFTER DELETE ON server_tag",
        "UPDATE tag SET servers = servers - 1 WHERE tag = OLD.tag;"
        " DELETE FROM tag WHERE tag = OLD.tag AND servers = 0;",
    ),
}


def create() -> None:
    """Count what is there, and make the triggers; the tables are there. Migration 0007 calls it."""
    database.execute_sql(
        "INSERT INTO level_history (number, time, kernel_id, patch_level)"
        " SELECT number, updated, coalesce(kernel_id, ''), patch_level FROM facts"
        " WHERE updated IS NOT NULL AND patch_level IS NOT NULL"
    )
    database.execute_sql(
        "INSERT INTO tag (tag, servers) SELECT tag, count(*) FROM server_tag GROUP BY tag"
    )
    for name, (moment, work) in _TRIGGERS.items():
        database.execute_sql(f"CREATE TRIGGER {name} {moment} BEGIN {work} END")
