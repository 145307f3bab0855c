"""What became of one server: the levels it ran, its keys and its tags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from eportal_core import db, user_log
from eportal_core.queries.server_rows import shown_time

#: Most changes of its key and tags that are told.
CHANGES_MAX = 100


@dataclass(frozen=True)
class Happening:
    """time: UTC, as the HTTP API has it. what: a sentence. who: a user, or ``agent``."""

    time: str
    what: str
    who: str


def history(server_id: str) -> list[Happening]:
    """The newest first."""
    found = [*_levels(server_id), *_changes(server_id)]
    return sorted(found, key=lambda each: each.time, reverse=True)


def _levels(server_id: str) -> Iterator[Happening]:
    rows = db.fetch(
        "SELECT h.time, h.patch_level, (SELECT min(l.patchset) FROM level AS l"
        " WHERE l.target = h.kernel_id AND l.level = h.patch_level)"
        " FROM facts AS f JOIN level_history AS h ON h.number = f.number WHERE f.server = ?",
        (server_id,),
    )
    for time, level, patchset in rows:
        brought = f", {patchset.partition('/')[2]}" if patchset else ""
        yield Happening(shown_time(time) or "", f"Runs level {level}{brought}.", "")


def _changes(server_id: str) -> Iterator[Happening]:
    wanted = user_log.Filter(table="server", key=server_id)
    for entry in user_log.entries(wanted, CHANGES_MAX):
        changed = entry["changed"]
        if entry["action"] == "added":
            yield Happening(
                entry["time"], f"Registered with key {changed['key'][1]}.", entry["actor"]
            )
            continue
        if "key" in changed:
            before, after = changed["key"]
            what = f"Moved from key {before} to {after}."
            yield Happening(entry["time"], what, entry["actor"])
        if "tags" in changed:
            yield Happening(entry["time"], _tagged(*changed["tags"]), entry["actor"])


def _tagged(before: str | None, after: str | None) -> str:
    was, now = (dict.fromkeys(tags.split(";")) if tags else {} for tags in (before, after))
    gained = [tag for tag in now if tag not in was]
    lost = [tag for tag in was if tag not in now]
    parts = [
        f"{word} {', '.join(tags)}"
        for word, tags in (("Tagged", gained), ("Untagged", lost))
        if tags
    ]
    return f"{'; '.join(parts)}." if parts else "Its tags stand in another order."
