"""Stores check-ins: a thread that writes what the event loop queued, twice a second.

One transaction a round, whatever the rate. A row of ``checkin`` is written for every server that
asked; ``facts`` only when they changed. On ``kill -9`` the last half second of check-ins is lost,
and the next check-in repairs it.
"""

from __future__ import annotations

import logging
import threading
from operator import attrgetter
from typing import NamedTuple

from eportal_core import db
from eportal_core.agent import facts
from eportal_core.agent.facts import Reported
from eportal_core.agent.identities import Seen, note_identities
from eportal_core.errors import DatabaseError, InvalidValue
from eportal_core.models import Actor, acting
from eportal_core.operations import names, servers
from eportal_core.patchsets.spec import SAFE_SEGMENT
from eportal_core.portal import Portal

log = logging.getLogger("eportal.checkins")

_CHECKIN = "UPDATE checkin SET time = ?, uptime = COALESCE(?, uptime), digest = ? WHERE server = ?"
#: Columns of ``facts`` that have an index, but for the level. Each is written again in its index
#: whenever a statement sets it, so that this one leaves alone what is as before.
_INDEXED = ("hostname", "ip", "kernel_id", "distro", "virt")
_PLAIN = tuple(name for name in facts.COLUMNS if name not in (*_INDEXED, "patch_level"))
_KEEP = ", ".join(f"{name} = COALESCE(?, {name})" for name in _PLAIN)
_FACTS = f"UPDATE facts SET {_KEEP} WHERE server = ?"
_NAMES = f"""
UPDATE facts SET {", ".join(f"{name} = COALESCE(?, {name})" for name in _INDEXED)}
WHERE server = ?
 AND ({" OR ".join(f"COALESCE(?, {name}, '') <> COALESCE({name}, '')" for name in _INDEXED)})
"""
_LEVEL = """
UPDATE facts SET patch_level = ?, updated = ? WHERE server = ? AND COALESCE(patch_level, -1) <> ?
"""
_plain = attrgetter(*_PLAIN)


class Raw(NamedTuple):
    """A check-in as it came: ``time`` in seconds since 1970, ``body`` for facts sent as JSON."""

    server: bytes
    time: float
    ip: str
    kernel_id: str
    query: bytes
    body: bytes = b""


class Report(NamedTuple):
    """A check-in that was read."""

    server: str
    time: int
    ip: str
    kernel_id: str
    reported: Reported
    digest: bytes


class Writer(threading.Thread):
    """The queue and the thread that empties it."""

    def __init__(self, portal: Portal) -> None:
        super().__init__(name="writer", daemon=True)
        self._portal = portal
        self._period: float = portal.config["CHECKIN_FLUSH_PERIOD"]
        self._limit: int = portal.config["CHECKIN_QUEUE_LIMIT"]
        self._queue: dict[bytes, Raw] = {}
        self._stopping = threading.Event()
        #: Check-ins that ``put`` refused, ever, and how many of them the log knows of.
        self.refused = 0
        self._told = 0
        #: Check-ins that were written, ever; of several of a server in one round, the last one.
        self.stored = 0
        #: The last error while writing, empty when the last round went well.
        self.problem = ""

    def put(self, raw: Raw) -> None:
        """Queue a check-in; of several of a server, the last one counts.

        So the queue grows with the servers that ask, not with how often one of them does.
        """
        if raw.server in self._queue or len(self._queue) < self._limit:
            self._queue[raw.server] = raw
        else:
            self.refused += 1

    @property
    def depth(self) -> int:
        """Check-ins that wait."""
        return len(self._queue)

    @property
    def health(self) -> str:
        """What keeps check-ins from being stored; empty when nothing does."""
        return self.problem or ("" if self.is_alive() else "Check-ins are not stored any more.")

    def run(self) -> None:
        waiting: dict[bytes, Raw] = {}
        last = False
        # The connection is this thread's own, so that no registration inherits its durability.
        with db.connection():
            db.relax_durability()
            while not last:
                last = self._stopping.wait(self._period)
                dropped = self._drain(waiting)
                if dropped:
                    log.warning(
                        "%d check-ins were dropped: CHECKIN_QUEUE_LIMIT is %d.",
                        dropped,
                        self._limit,
                    )
                try:
                    with db.errors():
                        self._write(waiting)
                    self.stored += len(waiting)
                    waiting.clear()
                    self.problem = ""
                except DatabaseError as error:
                    self.problem = str(error)
                    log.error("%s %d check-ins wait to be stored.", error, len(waiting))

    def stop(self) -> None:
        """Write what waits, then end."""
        self._stopping.set()
        self.join()

    def _drain(self, waiting: dict[bytes, Raw]) -> int:
        """Move what is queued to ``waiting``, which a failed round may have left filled.

        Returns how many found no place since the last time.
        """
        # Only the event loop counts up, and only this thread reads: no increment is lost.
        refused = self.refused
        dropped, self._told = refused - self._told, refused
        for server in list(self._queue):
            raw = self._queue.pop(server)
            if len(waiting) < self._limit or server in waiting:
                waiting[server] = raw
            else:
                dropped += 1
        return dropped

    def _write(self, waiting: dict[bytes, Raw]) -> None:
        if not waiting:
            return
        reports = sorted(map(_read, waiting.values()), key=_by_server)
        with acting(Actor("agent")):
            with db.database.atomic():
                tagged = _store(reports)
            # A round that fails is undone and repeated: only what is committed is announced.
            for server in tagged:
                servers.announce_tags(self._portal, server)


_by_server = attrgetter("server")


def _store(reports: list[Report]) -> list[str]:
    """Write a round; returns the servers whose tags changed, to be announced when committed."""
    known = dict(
        db.fetch_many(
            "SELECT server, digest FROM checkin WHERE server IN (?)",
            [report.server for report in reports],
        )
    )
    present = [report for report in reports if report.server in known]
    changed = [r for r in present if known[r.server] != r.digest]
    tagged = _store_facts(changed) if changed else []
    db.execute_many(_CHECKIN, [(r.time, r.reported.uptime, r.digest, r.server) for r in present])
    return tagged


def _store_facts(changed: list[Report]) -> list[str]:
    """Write facts that are new; returns the servers whose tags changed."""
    note_identities(
        Seen(r.server, r.reported.hostname, r.kernel_id, r.time)
        for r in changed
        if r.reported.hostname
    )
    db.execute_many(_FACTS, [(*_plain(r.reported), r.server) for r in changed])
    db.execute_many(_NAMES, list(map(_names_row, changed)))
    db.execute_many(_LEVEL, [row for r in changed for row in _level_rows(r)])
    said = {r.server: (r.reported.tags, r.ip) for r in changed if r.reported.tags is not None}
    # Most say what is known; to look at each as a model would cost more than all the rest.
    known = list(db.fetch_many("SELECT id, tags FROM server WHERE id IN (?)", said))
    tagged = []
    for server, before in known:
        tags, ip = said[server]
        if names.check_tags(tags) != before:
            with acting(Actor("agent", ip, "check-in")):
                servers.store_tags(server, tags)
            tagged.append(server)
    return tagged


def _read(raw: Raw) -> Report:
    reported = facts.read_json(raw.body) if raw.body else facts.read(raw.query)
    if reported.hostname is not None:
        try:
            names.check_hostname(reported.hostname)
        except InvalidValue:
            reported.hostname = None
    ip = names.shown_address(raw.ip)
    # The path may name anything; what is no target was not reported.
    kernel_id = raw.kernel_id if SAFE_SEGMENT.fullmatch(raw.kernel_id) else ""
    return Report(
        raw.server.decode(),
        int(raw.time * 1_000_000),
        ip,
        kernel_id,
        reported,
        facts.digest(reported, ip, kernel_id),
    )


def _names_row(report: Report) -> tuple[object, ...]:
    told = report.reported
    values = (told.hostname, report.ip, report.kernel_id or None, told.distro, told.virt)
    return (*values, report.server, *values)


def _level_rows(report: Report) -> list[tuple[object, ...]]:
    level = report.reported.patch_level
    return [] if level is None else [(level, report.time, report.server, level)]
