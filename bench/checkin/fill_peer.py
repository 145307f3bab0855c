"""Fills the peer's database; ours is filled by fill_ours.py."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import data
import peer

REGISTERED = "2026-01-02 03:04:05.678901"
CHECKED_IN = "2026-10-01 02:03:04.567890"


def fill_peer(path: Path, fleet: int) -> None:
    """Make the peer's database at ``path`` with ``fleet`` servers in it."""
    peer.connect(str(path))
    peer.database.create_tables(peer.TABLES)
    peer.database.close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO feed (name) VALUES (?)", [(name,) for name in data.FEEDS])
    connection.executemany(
        "INSERT INTO key (id, feed_id) VALUES (?, ?)",
        [(data.key_id(key), data.FEEDS[data.feed_of_key(key)]) for key in range(data.KEYS)],
    )
    connection.executemany(
        "INSERT INTO level (kernel_id, feed_id, patchset, level, enabled) VALUES (?, ?, ?, ?, 1)",
        [
            (data.kernel_id(kernel), name, patchset, data.level_in(patchset, kernel))
            for kernel in range(data.KERNELS)
            for feed, name in enumerate(data.FEEDS)
            for patchset in data.patchsets_of(feed)
        ],
    )
    columns = ("id", "key_id", "registered", "checkin", "updated", *data.FACTS)
    connection.executemany(
        f"INSERT INTO server ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
        _servers(fleet),
    )
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _servers(fleet: int) -> Iterator[tuple[Any, ...]]:
    keys = [data.key_id(key) for key in range(data.KEYS)]
    for number in range(fleet):
        known = data.facts(number, 0, 0)
        yield (
            data.server_id(number),
            keys[data.key_of(number)],
            REGISTERED,
            CHECKED_IN,
            CHECKED_IN,
            *known.values(),
        )
