"""Stands in for an administrator: reads the whole table of servers again and again.

``scan.py DATABASE SECONDS QUERY`` as a process of its own, the way the admin side is one; prints
how often it got through.
"""

from __future__ import annotations

import sqlite3
import sys
from time import monotonic


def main(database: str, seconds: float, query: str) -> int:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)
    limit = monotonic() + seconds
    scans = 0
    while monotonic() < limit:
        connection.execute(query).fetchall()
        scans += 1
    return scans


if __name__ == "__main__":
    print(main(sys.argv[1], float(sys.argv[2]), sys.argv[3]))
