"""An entry of the user log in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eportal_core.models.change import RecordedTable

#: Tables, and what else the log tells of, as people call them.
_KINDS = {
    "api_key": "API key",
    "feed": "feed",
    "feed_patchset": "patchset in a feed",
    "key": "key",
    "log": "user log",
    "offer": "offer of the patch source",
    "patch_source": "patch source",
    "patchset": "patchset",
    "server": "server",
    "setting": "setting",
    "user": "user",
}
#: A value is cut here, characters.
_VALUE_MAX = 200


@dataclass(frozen=True)
class Told:
    """what: the thing, ``key K1``. changes: column in words, value before, value after.

    before, after: None where there was, or is, nothing to tell.
    """

    kind: str
    changes: tuple[tuple[str, str | None, str | None], ...]


def kinds() -> list[tuple[str, str]]:
    """All that the log may tell of: as the log calls it, and in words, by these."""
    tables = {model._meta.table_name for model in RecordedTable.__subclasses__()}
    return sorted(
        ((name, _kind(name)) for name in {*tables, *_KINDS}), key=lambda each: each[1].casefold()
    )


def told(row: Mapping[str, Any]) -> Told:
    """row: as ``user_log.entries`` has it."""
    changes = []
    for name, (before, after) in row["changed"].items():
        # Of what came or went, what it is not needs no word.
        if row["action"] != "changed" and (after if before is None else before) in (None, "", []):
            continue
        changes.append(
            (
                name.replace("_", " "),
                None if row["action"] == "added" else _value(before),
                None if row["action"] == "removed" else _value(after),
            )
        )
    return Told(_kind(row["table"]), tuple(changes))


def _kind(table: str) -> str:
    return _KINDS.get(table, table.replace("_", " "))


def _value(value: Any) -> str:
    match value:
        case None | "" | []:
            return "nothing"
        case True:
            return "yes"
        case False:
            return "no"
        case [*parts]:
            text = ", ".join(map(str, parts))
        case _:
            text = str(value)
    return text if len(text) <= _VALUE_MAX else f"{text[: _VALUE_MAX - 1]}…"
