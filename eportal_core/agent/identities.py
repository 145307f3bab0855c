"""Notices machines that share a server id.

A machine that was copied with its registration checks in under the id of the original. Renaming a
machine shows as a new host name once; two machines show as two host names in turns. Every name
seen under an id is kept, and a name that comes back after another one is counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from eportal_core import db

_NEW = """
INSERT INTO identity (server, hostname, kernel_id, first_seen, last_seen, returns)
VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT (server, hostname) DO NOTHING
"""
_SEEN = "UPDATE identity SET kernel_id = ?, last_seen = ? WHERE server = ? AND hostname = ?"
_RETURNED = "UPDATE identity SET returns = returns + 1 WHERE server = ? AND hostname = ?"
_LEFT = """
UPDATE identity SET last_seen = COALESCE((SELECT time FROM checkin WHERE server = ?), last_seen)
WHERE server = ? AND hostname = ?
"""
_FORGET = """
DELETE FROM identity WHERE server = ? AND hostname NOT IN
 (SELECT hostname FROM identity WHERE server = ? ORDER BY last_seen DESC LIMIT ?)
"""
#: Names kept under an id; a machine that invents one each time may not fill the disk.
_KEPT = 50


class Seen(NamedTuple):
    """A host name under an id; ``time`` in microseconds since 1970 UTC."""

    server: str
    hostname: str
    kernel_id: str
    time: int


def note_identities(seen: Iterable[Seen]) -> None:
    """Keep who was seen; call it before their facts are written, in the same transaction."""
    sightings = list(seen)
    current = dict(
        db.fetch_many(
            "SELECT server, hostname FROM facts WHERE server IN (?)", [s.server for s in sightings]
        )
    )
    known = set(
        db.fetch_many(
            "SELECT server, hostname FROM identity WHERE server IN (?)",
            [s.server for s in sightings],
        )
    )
    others = [s for s in sightings if current.get(s.server) != s.hostname]
    returned = [s for s in others if (s.server, s.hostname) in known]
    db.execute_many(_NEW, [(s.server, s.hostname, s.kernel_id, s.time, s.time) for s in sightings])
    db.execute_many(_LEFT, [(s.server, s.server, current.get(s.server)) for s in others])
    db.execute_many(_SEEN, [(s.kernel_id, s.time, s.server, s.hostname) for s in sightings])
    db.execute_many(_RETURNED, [(s.server, s.hostname) for s in returned])
    db.execute_many(_FORGET, [(s.server, s.server, _KEPT) for s in others])
