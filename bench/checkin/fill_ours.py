"""Fills ePortal's database.

``kc.eportal migrate`` makes the schema; the rows are inserted by plain SQL, because a million of
them through the operations would take an hour.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

import data
from serving import BIN

from eportal_core.agent import facts as agent_facts

DATABASE = "eportal.sqlite"

# What our server stores as a server's ip: where the request came from, not what the agent says.
ADDRESS = "127.0.0.1"

# Microseconds since 1970.
REGISTERED = 1_767_323_045_678_901
CHECKED_IN = 1_790_820_184_567_890

Row = dict[str, Any]


def fill_ours(directory: Path, fleet: int) -> None:
    """Make a portal in ``directory`` with the data set in it."""
    subprocess.run(
        [str(BIN / "kc.eportal"), "migrate"],
        env={**os.environ, "EPORTAL_DATA_DIR": str(directory)},
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=60,
    )
    path = f"file:{directory / DATABASE}?mode=rw"
    with closing(sqlite3.connect(path, uri=True, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        _fill_feeds(connection)
        for table, row in _OF_SERVERS.items():
            _insert(connection, table, map(row, range(fleet)))
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _insert(connection: sqlite3.Connection, table: str, rows: Iterable[Row]) -> None:
    """Insert rows that all have the columns of the first."""
    iterator = iter(rows)
    first = next(iterator)
    names = ", ".join(f'"{name}"' for name in first)
    values = ", ".join(f":{name}" for name in first)
    connection.executemany(
        f"INSERT INTO {table} ({names}) VALUES ({values})", chain([first], iterator)
    )


def _fill_feeds(connection: sqlite3.Connection) -> None:
    """Feeds, keys, patchsets with their levels, and which feed has which."""
    # The migration made main.
    others = [name for name in data.FEEDS if name != "main"]
    _insert(
        connection,
        "feed",
        ({"name": name, "auto": 0, "deploy_after": 0, "channel": "default"} for name in others),
    )
    _insert(connection, "key", map(_key, range(data.KEYS)))
    _insert(connection, "patchset", map(_patchset, data.PATCHSETS))
    _insert(
        connection,
        "level",
        (_level(patchset, kernel) for patchset in data.PATCHSETS for kernel in range(data.KERNELS)),
    )
    _insert(
        connection,
        "feed_patchset",
        (
            {
                "feed": name,
                "patchset": f"kernel/{patchset}",
                "state": "enabled",
                "since": REGISTERED,
            }
            for feed, name in enumerate(data.FEEDS)
            for patchset in data.patchsets_of(feed)
        ),
    )


def _key(key: int) -> Row:
    return {
        "key": data.key_id(key),
        "feed": data.FEEDS[data.feed_of_key(key)],
        "note": "",
        "server_limit": 0,
        "enabled": 1,
        "created": REGISTERED,
    }


def _patchset(name: str) -> Row:
    return {
        "id": f"kernel/{name}",
        "product": "kernel",
        "name": name,
        "position": name,
        "released": "",
        "appeared": REGISTERED,
        "channels": '["default"]',
        "distros": "[]",
        "changelog": "",
        "archive": f"{name}.tar.bz2",
        "sha256": "",
        "size": 0,
    }


def _level(patchset: str, kernel: int) -> Row:
    return {
        "patchset": f"kernel/{patchset}",
        "target": data.kernel_id(kernel),
        "level": data.level_in(patchset, kernel),
        "digest": "",
        "distro": "",
        "uname": "",
    }


def _server(number: int) -> Row:
    known = data.facts(number, 0, 0)
    return {
        "id": data.server_id(number),
        "key": data.key_id(data.key_of(number)),
        "hostname": known["hostname"],
        "tags": known["tags"],
        "registered": REGISTERED,
    }


def _checkin(number: int) -> Row:
    known = data.facts(number, 0, 0)
    reported = agent_facts.read_json(json.dumps(known).encode())
    return {
        "server": data.server_id(number),
        "time": CHECKED_IN,
        "uptime": known["uptime"],
        "digest": agent_facts.digest(reported, ADDRESS, known["kernel_id"]),
    }


def _facts(number: int) -> Row:
    known = data.facts(number, 0, 0)
    del known["uptime"], known["tags"]
    return {**known, "server": data.server_id(number), "ip": ADDRESS, "updated": CHECKED_IN}


def _identity(number: int) -> Row:
    known = data.facts(number, 0, 0)
    return {
        "server": data.server_id(number),
        "hostname": known["hostname"],
        "kernel_id": known["kernel_id"],
        "first_seen": REGISTERED,
        "last_seen": CHECKED_IN,
        "returns": 0,
    }


#: What each server has a row of, as if it had checked in before.
_OF_SERVERS: dict[str, Callable[[int], Row]] = {
    "server": _server,
    "checkin": _checkin,
    "facts": _facts,
    "identity": _identity,
}
