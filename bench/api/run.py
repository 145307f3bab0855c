"""Lists of servers over HTTP against raw SQL, in turns: ``python bench/api/run.py FOLDER``.

FOLDER keeps the database between runs; see README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

# The portal and the API key are made as the tests make them.
sys.path.insert(0, str(Path(__file__).parents[2]))

from fill import fill

from eportal_core import db
from eportal_core.models import User
from eportal_core.operations import latest, users
from tests.support.fleets import new_key
from tests.support.opening import opened
from tests.support.serving import serving

#: Goals of the project: times of raw SQL, where that takes less than 10 ms and where more.
MOST_SMALL, MOST_LARGE, LARGE_MS = 4.0, 1.3, 10.0
LEAST_SEARCH = 30.0
_SERVERS = "/admin/api/servers"
_COLUMNS = "f.*, c.time, c.uptime, k.feed"
_FROM = "facts f JOIN checkin c ON c.server = f.server JOIN key k ON k.key = f.key"
_LATEST = "latest_level l ON l.feed = k.feed AND l.target = {t}.kernel_id AND l.rank = 0"


@dataclass(frozen=True)
class Case:
    """A request, and the statements that a patient person would write for it: count, and page."""

    name: str
    arguments: dict[str, Any]
    count: str
    page: str


def page(where: str = "1", order: str = "f.registered, f.number") -> str:
    return f"SELECT {_COLUMNS} FROM {_FROM} WHERE {where} ORDER BY {order} LIMIT 10"


def chosen(numbers: str) -> str:
    """A page of servers that a statement finds: found first, for it joins too late otherwise."""
    return page(f"f.number IN ({numbers})")


def cases() -> list[Case]:
    fts = "SELECT rowid FROM search WHERE search MATCH '{hostname} : \"00123\"'"
    day = 86_400_000_000
    old = time.time_ns() // 1000 - 15 * day
    silent = (
        f"SELECT f.number FROM checkin c JOIN facts f ON f.server = c.server WHERE c.time < {old}"
    )
    newest = "SELECT number, registered FROM facts ORDER BY registered DESC, number DESC LIMIT 10"
    last = f"SELECT number FROM ({newest})"
    return [
        Case("all", {}, "SELECT sum(servers) FROM fleet", page()),
        Case("all, last page", {"offset": 999_990}, "SELECT sum(servers) FROM fleet", chosen(last)),
        Case(
            "feed",
            {"feed": "test"},
            "SELECT sum(servers) FROM fleet g JOIN key k ON k.key = g.key WHERE k.feed = 'test'",
            f"SELECT {_COLUMNS} FROM facts f INDEXED BY facts_registered"
            " CROSS JOIN checkin c ON c.server = f.server CROSS JOIN key k ON k.key = f.key"
            " WHERE k.feed = 'test' ORDER BY f.registered, f.number LIMIT 10",
        ),
        Case(
            "is_updated=false",
            {"is_updated": "false"},
            "SELECT sum(g.servers) FROM key k CROSS JOIN fleet g ON g.key = k.key"
            f" CROSS JOIN {_LATEST.format(t='g')} WHERE l.level > g.patch_level",
            f"SELECT {_COLUMNS} FROM facts f INDEXED BY facts_registered"
            " CROSS JOIN checkin c ON c.server = f.server CROSS JOIN key k ON k.key = f.key"
            f" CROSS JOIN {_LATEST.format(t='f')} WHERE l.level > coalesce(f.patch_level, -1)"
            " ORDER BY f.registered, f.number LIMIT 10",
        ),
        Case(
            "tag",
            {"tag": "rack7"},
            "SELECT count(*) FROM server_tag WHERE tag = 'rack7'",
            chosen("SELECT number FROM server_tag WHERE tag = 'rack7' ORDER BY number LIMIT 10"),
        ),
        Case(
            "checkin_age=15",
            {"checkin_age": 15},
            f"SELECT count(*) FROM checkin WHERE time < {old}",
            chosen(f"{silent} ORDER BY f.registered LIMIT 10"),
        ),
        Case(
            "hostname %00123%",
            {"hostname": "%00123%"},
            f"SELECT count(*) FROM ({fts})",
            chosen(fts),
        ),
        Case(
            "hostname web-00001%",
            {"hostname": "web-00001%"},
            "SELECT count(*) FROM facts WHERE hostname >= 'web-00001' AND hostname < 'web-00002'",
            page(
                "f.hostname >= 'web-00001' AND f.hostname < 'web-00002'", "+f.registered, f.number"
            ),
        ),
        Case(
            "ip %.77",
            {"ip": "%.77"},
            "SELECT count(*) FROM facts WHERE ip LIKE '%.77'",
            f"SELECT {_COLUMNS} FROM facts f INDEXED BY facts_registered"
            " CROSS JOIN checkin c ON c.server = f.server CROSS JOIN key k ON k.key = f.key"
            " WHERE f.ip LIKE '%.77' ORDER BY f.registered, f.number LIMIT 10",
        ),
        Case(
            "hostname %7.% (too short for the index)",
            {"hostname": "%7.%"},
            "SELECT count(*) FROM facts WHERE hostname LIKE '%7.%'",
            page("f.hostname LIKE '%7.%'"),
        ),
    ]


def milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


class Client:
    """One connection that stays open, and costs next to nothing."""

    def __init__(self, port: int, key: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"X-Api-Key": key}

    def read(self, path: str) -> bytes:
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        return body

    def get(self, path: str) -> Any:
        """The JSON of an answer."""
        return json.loads(self.read(path))


def compare(client: Client, database: Path, rounds: int) -> bool:
    raw = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    raw.execute("PRAGMA cache_size = -16000")
    good = True
    print(f"{'':42}{'count':>9}{'raw ms':>9}{'HTTP ms':>9}{'ratio':>7}{'limit':>7}")
    for case in cases():
        address = f"{_SERVERS}?{urlencode(case.arguments, quote_via=quote)}"
        counted = raw.execute(case.count).fetchone()[0]
        answered = client.get(address)["count"]
        # Those that were never heard of are counted by us alone.
        assert abs(answered - counted) <= (counted // 20 if "checkin_age" in case.arguments else 0)

        def sql(case: Case = case) -> None:
            raw.execute(case.count).fetchall()
            raw.execute(case.page).fetchall()

        def http(address: str = address) -> None:
            client.get(address)

        pairs = [(milliseconds(sql), milliseconds(http)) for _ in range(rounds)]
        raw_ms, http_ms = (statistics.median(values) for values in zip(*pairs, strict=True))
        limit = MOST_LARGE if raw_ms > LARGE_MS else MOST_SMALL
        good &= http_ms <= limit * raw_ms
        print(
            f"{case.name:42}{answered:9}{raw_ms:9.2f}{http_ms:9.2f}"
            f"{http_ms / raw_ms:7.2f}{limit:7.1f}{'' if http_ms <= limit * raw_ms else '  missed'}"
        )
    return searching(raw, client, rounds) and good


def searching(raw: sqlite3.Connection, client: Client, rounds: int) -> bool:
    """A part of a host name over HTTP, against a look at every host name."""
    scan = "SELECT count(*) FROM facts NOT INDEXED WHERE hostname LIKE '%00123%'"
    address = f"{_SERVERS}?hostname=%2500123%25"
    pairs = [
        (
            milliseconds(lambda: raw.execute(scan).fetchall()),
            milliseconds(lambda: client.get(address)),
        )
        for _ in range(max(3, rounds // 5))
    ]
    ratio = statistics.median(scanned / found for scanned, found in pairs)
    print(f"a part of a host name: {ratio:.0f} times faster than LIKE, at least {LEAST_SEARCH:.0f}")
    return ratio >= LEAST_SEARCH


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--servers", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args(arguments)
    folder: Path = options.folder / str(options.servers)
    fill(folder, options.servers)
    portal = opened(folder)
    with db.connection():
        if users.find("bench") is None:
            users.add(portal, "bench", "a long password", readonly=True)
        key = new_key(User.get_by_id("bench").username)
        latest.refresh(portal)
    db.close()
    print(f"{options.servers} servers; {os.cpu_count()} cores; SQLite {sqlite3.sqlite_version}")
    with serving(folder) as served:
        # Straight to the admin side, without the way through the agents'.
        client = Client(int(served.cli.settings["ADMIN_PORT"]), key)
        # A portal that has just started counts its servers; this waits for that.
        client.read("/admin/metrics")
        good = compare(client, folder / db.FILE_NAME, options.rounds)
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
