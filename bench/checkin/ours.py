"""ePortal's agent process: how it is started, and what it has stored."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import data
from fill_ours import DATABASE, fill_ours
from serving import BIN, Variant

OURS = "ours, uvicorn"
GRANIAN = "ours, granian"
ALL_CHANGED = f"{OURS}, all facts new"

# The whole of two large tables, and nothing that an index could answer.
SCAN = "SELECT count(*) FROM server JOIN facts ON server = id WHERE processor LIKE '%nomatch%'"

# Without the ip: ours stores the address that the request came from.
STORED = tuple(name for name in data.FACTS if name != "ip")
_TABLES = {"uptime": "checkin", "tags": "server"}


def variants(directory: Path, fleet: int) -> dict[str, Variant]:
    """The agent process, by name; each with a data directory of its own.

    The one for new facts has its own too, so that its facts are not old news to another.
    """
    directory.mkdir()
    first = directory / "0"
    first.mkdir()
    fill_ours(first, fleet)
    made = {}
    for number, (name, command) in enumerate(_COMMANDS.items()):
        own = directory / str(number)
        if own != first:
            subprocess.run(["cp", "-r", str(first), str(own)], check=True)
        made[name] = Variant(name, command, {"EPORTAL_DATA_DIR": str(own)}, partial(stored, own))
    return made


def _uvicorn(_port: int) -> list[str]:
    return [str(BIN / "kc.eportal"), "serve", "--only", "agent"]


def _granian(port: int) -> list[str]:
    return [
        *(str(BIN / "granian"), "--interface", "asgi", "--factory"),
        *("--host", "127.0.0.1", "--port", str(port), "--loop", "uvloop"),
        *("--no-ws", "--log-level", "warning", "asgi:create"),
    ]


_COMMANDS: dict[str, Callable[[int], list[str]]] = {
    OURS: _uvicorn,
    ALL_CHANGED: _uvicorn,
    GRANIAN: _granian,
}


def database(variant: Variant) -> Path:
    return Path(variant.environment["EPORTAL_DATA_DIR"]) / DATABASE


def stored(directory: Path, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The facts and the time of the check-in of some servers, by server id."""
    columns = [f"{_TABLES.get(name, 'facts')}.{name}" for name in STORED]
    question = (
        f"SELECT {', '.join(columns)}, checkin.time FROM server JOIN checkin ON "
        "checkin.server = id JOIN facts ON facts.server = id WHERE id = ?"
    )
    path = f"file:{directory / DATABASE}?mode=ro"
    found = {}
    with closing(sqlite3.connect(path, uri=True, timeout=10)) as connection:
        for one in ids:
            row = connection.execute(question, (one,)).fetchone()
            if row is not None:
                found[one] = dict(zip((*STORED, "checkin"), row, strict=True))
    return found
