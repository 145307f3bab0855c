"""What keeps lists of a million servers fast, as SQLite has it: a trigram index, and triggers.

Triggers, because servers are written in several places and a list that is wrong is worse than a
slow one. Another database does the same in its own words (PostgreSQL: pg_trgm), chosen here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from eportal_core.db import database

#: Columns of ``facts`` that are searched for parts of their text.
SEARCHED = ("server", "hostname", "ip", "tags")
#: Characters that a text must have to be found by the index.
SHORTEST = 3
#: The comparison by which NULL is the same as NULL.
SAME = "IS"

_TAGS = """json_each('[' || replace(json_quote({row}.tags), ';', '","') || ']')"""
#: Columns of ``fleet``, and what stands for NULL there; a key is never NULL.
GROUPED = {
    "kernel_id": "''",
    "patch_level": "-1",
    **dict.fromkeys(("distro", "virt", "machine", "release", "euname"), "''"),
}
_GROUP = ", ".join(
    ["{row}.key", *(f"coalesce({{row}}.{name}, {null})" for name, null in GROUPED.items())]
)
_GROUP_COLUMNS = ", ".join(["key", *GROUPED])
_JOIN_GROUP = """
INSERT INTO fleet ({columns}, servers) SELECT {group}, 1 FROM facts AS row
 WHERE row.number = NEW.number
 ON CONFLICT ({columns}) DO UPDATE SET servers = servers + 1;
"""
_LEAVE_GROUP = """
UPDATE fleet SET servers = servers - 1 WHERE ({columns}) = ({group});
"""
_CHANGE_GROUP = """
INSERT INTO fleet ({columns}, servers) VALUES ({group}, 1)
 ON CONFLICT ({columns}) DO UPDATE SET servers = servers + 1;
"""
_FIND_TAGS = f"""
INSERT INTO server_tag (tag, number) SELECT DISTINCT each.value, row.number
 FROM facts AS row, {_TAGS.format(row="row")} AS each
 WHERE row.number = NEW.number AND row.tags IS NOT NULL;
"""
_FORGET_TAGS = f"""
DELETE FROM server_tag WHERE number = OLD.number
 AND tag IN (SELECT value FROM {_TAGS.format(row="OLD")} WHERE OLD.tags IS NOT NULL);
"""
_FIND = f"""
INSERT INTO search (rowid, {", ".join(SEARCHED)})
 SELECT number, {", ".join(SEARCHED)} FROM facts WHERE number = NEW.number;
"""
_FORGET = f"""
INSERT INTO search (search, rowid, {", ".join(SEARCHED)})
 VALUES ('delete', OLD.number, {", ".join(f"OLD.{name}" for name in SEARCHED)});
"""
_ENTER = _JOIN_GROUP.format(columns=_GROUP_COLUMNS, group=_GROUP.format(row="row"))
_CHANGE = _CHANGE_GROUP.format(columns=_GROUP_COLUMNS, group=_GROUP.format(row="NEW"))
_LEAVE = _LEAVE_GROUP.format(columns=_GROUP_COLUMNS, group=_GROUP.format(row="OLD"))


def _differ(*columns: str) -> str:
    """Whether a row that has its key, and so is known to the indexes, changes in ``columns``."""
    changed = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in columns)
    return f"OLD.key IS NOT NULL AND ({changed})"


_STALE = "INSERT INTO stale_feed (feed) {rows} ON CONFLICT DO NOTHING;"
_FEEDS_OF = "SELECT feed FROM feed_patchset WHERE patchset = {row}.patchset"

#: Name of a trigger: when it fires, and what it does then.
_TRIGGERS = {
    "facts_added": (
        "AFTER INSERT ON facts",
        "UPDATE facts SET (key, tags, registered) = "
        "(SELECT key, tags, registered FROM server WHERE id = NEW.server) "
        f"WHERE number = NEW.number; {_FIND} {_FIND_TAGS} {_ENTER}",
    ),
    "facts_removed": ("AFTER DELETE ON facts", f"{_FORGET} {_FORGET_TAGS} {_LEAVE}"),
    "facts_renamed": (
        f"AFTER UPDATE OF hostname, ip, tags ON facts WHEN {_differ('hostname', 'ip', 'tags')}",
        f"{_FORGET} {_FIND}",
    ),
    "facts_tagged": (
        f"AFTER UPDATE OF tags ON facts WHEN {_differ('tags')}",
        f"{_FORGET_TAGS} {_FIND_TAGS}",
    ),
    "facts_moved": (
        f"AFTER UPDATE OF {_GROUP_COLUMNS} ON facts WHEN {_differ('key', *GROUPED)}",
        f"{_LEAVE} {_CHANGE}",
    ),
    "server_changed": (
        "AFTER UPDATE OF key, tags, registered ON server",
        "UPDATE facts SET key = NEW.key, tags = NEW.tags, registered = NEW.registered "
        "WHERE server = NEW.id;",
    ),
    "enabled_added": ("AFTER INSERT ON feed_patchset", _STALE.format(rows="VALUES (NEW.feed)")),
    "enabled_changed": ("AFTER UPDATE ON feed_patchset", _STALE.format(rows="VALUES (NEW.feed)")),
    "enabled_removed": ("AFTER DELETE ON feed_patchset", _STALE.format(rows="VALUES (OLD.feed)")),
    "level_added": (
        "AFTER INSERT ON level",
        _STALE.format(rows=_FEEDS_OF.format(row="NEW")),
    ),
    "level_removed": (
        "AFTER DELETE ON level",
        _STALE.format(rows=_FEEDS_OF.format(row="OLD")),
    ),
}


def create() -> None:
    """Make the trigram index and the triggers; the tables are there, and servers are in none yet.

    Migration 0006 calls it. What comes later is another function.
    """
    columns = ", ".join(SEARCHED)
    database.execute_sql(
        f"CREATE VIRTUAL TABLE search USING fts5({columns}, content='facts', "
        "content_rowid='number', tokenize='trigram')"
    )
    for name, (moment, work) in _TRIGGERS.items():
        database.execute_sql(f"CREATE TRIGGER {name} {moment} BEGIN {work} END")


def by_index(index: str) -> str:
    """What makes a table in FROM be read in the order of ``index``."""
    return f"INDEXED BY {index}"


def unsorted(column: str) -> str:
    """``column`` to sort by, of rows that are found in another way than in its order."""
    return f"+{column}"


def containing(texts: Iterable[str], columns: Sequence[str] = SEARCHED) -> tuple[str, str]:
    """A query for the ``number`` of servers that have all ``texts`` in ``columns``, and its value.

    Letters are the same in either case. Each text has ``SHORTEST`` characters or more.
    """
    quoted = ('"' + text.replace('"', '""') + '"' for text in texts)
    within = f"{{{' '.join(columns)}}}"
    wanted = " AND ".join(f"{within} : {text}" for text in quoted)
    return "SELECT rowid AS number FROM search WHERE search MATCH ?", wanted
