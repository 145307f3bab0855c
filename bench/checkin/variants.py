"""The servers that are not ours: the floor and the two forms of the peer."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import data
from serving import BIN, Variant

BARE = "bare uvicorn"
TUNED = "peer, tuned"
DOCUMENTED = "peer, open and close"


def bare() -> Variant:
    return Variant(
        BARE,
        lambda port: [
            *(str(BIN / "uvicorn"), "bare:app", "--port", str(port)),
            *("--loop", "uvloop", "--http", "httptools", "--no-access-log"),
            *("--log-level", "warning"),
        ],
    )


def peer(name: str, form: str, database: Path) -> Variant:
    return Variant(
        name,
        lambda port: [
            *(str(BIN / "gunicorn"), "--worker-class", "sync", "--workers", "1"),
            *("--bind", f"127.0.0.1:{port}", f"peer:create({str(database)!r}, {form!r})"),
        ],
        stored=lambda ids: stored(database, ids),
    )


def stored(database: Path, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The facts and the time of the check-in of some servers, by server id."""
    names = (*data.FACTS, "checkin")
    question = f"SELECT {', '.join(names)} FROM server WHERE id = ?"
    found = {}
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        for one in ids:
            row = connection.execute(question, (one,)).fetchone()
            if row is not None:
                found[one] = dict(zip(names, row, strict=True))
    return found
