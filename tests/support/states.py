"""A portal's data directory as a value: what is in the database, and every file with its bytes."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_QUERIES = (
    "SELECT name FROM feed ORDER BY name",
    "SELECT id, archive, sha256, size FROM patchset ORDER BY id",
    "SELECT patchset, target, level, digest FROM level ORDER BY patchset, target",
    "SELECT feed, patchset, state FROM feed_patchset ORDER BY feed, patchset",
    'SELECT "table", key, row IS NULL FROM change ORDER BY sequence',
)


@dataclass(frozen=True)
class State:
    """Two states are equal when no agent and no command could tell them apart, but for times.

    rows: one tuple a query. files: path -> sha256 of the bytes, ``folder``, or where a link leads.
    """

    rows: tuple[tuple[Any, ...], ...]
    files: dict[str, str]

    def holds(self, other: State) -> bool:
        """Whether everything published in ``other`` is here; there may be more."""
        return self.rows == other.rows and other.published() <= self.published()

    def knows(self, patchset: str) -> bool:
        """Whether the database has ``<product>/<name>``."""
        return patchset in {row[0] for row in self.rows[1]}

    def published(self) -> set[tuple[str, str]]:
        return {
            (path, content)
            for path, content in self.files.items()
            if content != "folder" and not path.startswith("staging/")
        }


def state_of(data_dir: Path) -> State:
    with closing(sqlite3.connect(data_dir / "eportal.sqlite")) as database:
        rows = tuple(tuple(database.execute(query)) for query in _QUERIES)
    return State(rows, dict(_files(data_dir)))


def _files(data_dir: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(data_dir.rglob("*")):
        name = str(path.relative_to(data_dir))
        if path.is_symlink():
            yield name, f"-> {path.readlink()}"
        elif path.is_dir():
            yield name, "folder"
        elif name == "instance-id":
            # Random, but never empty.
            yield name, f"{len(path.read_bytes())} bytes"
        elif not name.startswith("eportal.sqlite"):
            yield name, hashlib.sha256(path.read_bytes()).hexdigest()
