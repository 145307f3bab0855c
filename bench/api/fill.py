"""A portal with a million servers, as a fleet has them: most heard of lately, some silent.

The servers are those of ``bench/checkin/data.py``; ages, levels, systems and machines differ here.
Inserted by plain SQL, for a million through the operations would take an hour.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "checkin"))

import data
import fill_ours

from eportal_core import db

_DAY = 86_400_000_000
_DISTROS = ("AlmaLinux", "CentOS Linux", "Debian", "Rocky Linux", "Ubuntu")
_VIRTS = ("kvm", "vmware", "xen", None)

Row = dict[str, Any]


def fill(folder: Path, fleet: int) -> None:
    """Make the database of a portal in ``folder``, or take the one that was made there before."""
    if (folder / "complete").is_file():
        # A version that came since then may have more tables.
        environ = {**os.environ, "EPORTAL_DATA_DIR": str(folder)}
        subprocess.run([str(fill_ours.BIN / "kc.eportal"), "migrate"], env=environ, check=True)
        return
    folder.mkdir(parents=True)
    # It makes the feeds, keys and patchsets; one server stands for those that follow.
    fill_ours.fill_ours(folder, 1)
    now = time.time_ns() // 1000
    with closing(sqlite3.connect(folder / db.FILE_NAME, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -500000")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("BEGIN")
        connection.execute("DELETE FROM server")
        for table, row in (("server", _server), ("checkin", _checkin), ("facts", _facts)):
            _insert(connection, table, (row(number, now) for number in range(fleet)))
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (folder / "complete").touch()


def _insert(connection: sqlite3.Connection, table: str, rows: Iterable[Row]) -> None:
    iterator = iter(rows)
    first = next(iterator)
    names = ", ".join(f'"{name}"' for name in first)
    values = ", ".join(f":{name}" for name in first)
    connection.executemany(
        f"INSERT INTO {table} ({names}) VALUES ({values})", chain([first], iterator)
    )


def _server(number: int, now: int) -> Row:
    known = data.facts(number, 0, 0)
    return {
        "id": data.server_id(number),
        "key": data.key_id(data.key_of(number)),
        "hostname": known["hostname"],
        "tags": known["tags"],
        # The last 300 days, evenly.
        "registered": now - 300 * _DAY + number * (300 * _DAY // 1_000_000),
    }


def _checkin(number: int, now: int) -> Row:
    """One in twenty is silent for 15 to 60 days, one in a thousand was never heard of."""
    spread = number * 7_368_787
    # Mixed, so that age has nothing to do with key, feed or level.
    mixed = number * 2_654_435_761
    silent = (mixed >> 12) % 20 == 7
    age = 15 * _DAY + spread % (45 * _DAY) if silent else spread % (_DAY // 6)
    return {
        "server": data.server_id(number),
        "time": None if (mixed >> 8) % 1000 == 999 else now - age,
        "uptime": 100_000 + number % 10_000,
    }


def _facts(number: int, now: int) -> Row:
    """One in five runs the level before the latest of its feed."""
    known = data.facts(number, 0, 0)
    del known["uptime"], known["tags"]
    kernel = data.kernel_of(number)
    patchsets = data.patchsets_of(data.feed_of_key(data.key_of(number)))
    newest = patchsets[-2 if number % 5 == 3 else -1]
    return {
        **known,
        "server": data.server_id(number),
        "patch_level": data.level_in(newest, kernel),
        "distro": _DISTROS[kernel % 5],
        "virt": _VIRTS[number % 4],
        "updated": now - number * 7_368_787 % (60 * _DAY),
    }
