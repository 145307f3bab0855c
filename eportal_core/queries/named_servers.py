"""Servers as people name them: by id, host name or address."""

from __future__ import annotations

from collections.abc import Sequence

from eportal_core import db

_COLUMNS = ("server", "hostname", "ip")


def named(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Ids of all servers that bear one of ``names``, and the names that none bears.

    Letters of host names are the same in either case.
    """
    ids: dict[str, None] = {}
    known: set[str] = set()
    for column in _COLUMNS:
        rows = db.fetch_many(f"SELECT server, {column} FROM facts WHERE {column} IN (?)", names)
        for server, name in rows:
            ids[server] = None
            known.add(name.lower() if column != "server" else name)
    missing = [name for name in names if name not in known and name.lower() not in known]
    return list(ids), missing
