"""What the agent process keeps in memory, and how it stays true.

A check-in is answered without the database: server id -> key -> feed, and (feed, target) -> level.
The maps are filled at start and then follow the change log, which every write of every process
appends to. Readers take no lock: each map entry is replaced in one step.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from typing import Any, TypeAlias

import msgspec
import peewee

from eportal_core import db
from eportal_core.errors import DatabaseError
from eportal_core.models import Change, Feed, Key, Level, enabled_levels
from eportal_core.operations import keys
from eportal_core.portal import Portal

log = logging.getLogger("eportal.agent")

#: Seconds between two looks at the change log: how old an answer can be.
FOLLOW_PERIOD = 0.25
#: A request that names something unknown looks at once, but at most this often, seconds.
MISS_PERIOD = 0.05
_READ_AT_ONCE = 10_000

Answers: TypeAlias = dict[str, bytes]


class KeyEntry:
    """What a check-in needs to know of a key; shared by all its servers."""

    __slots__ = ("enabled", "feed", "products")

    def __init__(self, feed: str, products: frozenset[str], enabled: bool) -> None:
        self.feed = feed
        self.products = products
        self.enabled = enabled


class Memory:
    """servers: id in ASCII -> key. feeds: their names.

    latest: product -> feed -> target -> level in digits.
    """

    def __init__(self, portal: Portal) -> None:
        self.portal = portal
        self.servers: dict[bytes, KeyEntry] = {}
        self.keys: dict[str, KeyEntry] = {}
        self.feeds: set[str] = set()
        self.latest: dict[str, dict[str, Answers]] = {name: {} for name in portal.products}
        self._revisions: dict[tuple[str, str], int] = {}
        self._revision = itertools.count(1)
        self._sequence = 0
        self._followed = 0.0
        self._lock = threading.Lock()

    def load(self) -> None:
        """Read everything. What changes meanwhile is read again from the change log."""
        with db.connection():
            self._sequence = Change.select(peewee.fn.MAX(Change.sequence)).scalar() or 0
            for key in Key.select():
                self.keys[key.key] = self._entry(key)
            entries = self.keys
            cursor = db.database.execute_sql("SELECT id, key FROM server")
            while rows := cursor.fetchmany(_READ_AT_ONCE):
                for server, name in rows:
                    entry = entries.get(name)
                    # A key made since the keys were read: the change log brings it and its servers.
                    if entry is not None:
                        self.servers[server.encode()] = entry
            for feed in Feed.select():
                self.feeds.add(feed.name)
                for product in self.latest:
                    self._load_feed(product, feed.name)

    def find(self, server: bytes) -> KeyEntry | None:
        """The key of a server, which may have registered a moment ago; None when it has not.

        It waits for the database when the server is not known: not for the event loop.

        Raises:
            DatabaseError: the database does not answer.
        """
        entry = self.servers.get(server)
        if entry is None:
            self.follow_after_miss()
            entry = self.servers.get(server)
        return entry

    def follow(self, *, unless_within: float = 0) -> None:
        """Apply what the change log says since the last look, if that is long enough ago, seconds.

        Raises:
            DatabaseError: the database does not answer.
        """
        with self._lock, db.connection():
            # Asked here: of many that waited for the lock, the first one looks for all.
            if time.monotonic() - self._followed < unless_within:
                return
            appliers = {
                "key": self._apply_key,
                "server": self._apply_server,
                "feed": self._apply_feed,
                "feed_patchset": self._apply_feed_patchset,
            }
            changes = (
                Change.select(Change.sequence, Change.table, Change.key, Change.row)
                .where(Change.sequence > self._sequence)
                .order_by(Change.sequence)
            )
            for sequence, table, key, row in list(db.rows(changes)):
                apply = appliers.get(table)
                if apply is not None:
                    apply(key, None if row is None else msgspec.json.decode(row))
                self._sequence = sequence
            self._followed = time.monotonic()

    def follow_after_miss(self) -> None:
        """Look now, unless somebody just did: a flood of unknown ids costs no more than a few.

        Raises:
            DatabaseError: the database does not answer.
        """
        if time.monotonic() - self._followed > MISS_PERIOD:
            self.follow(unless_within=MISS_PERIOD)

    def level(self, product: str, feed: str, target: str) -> bytes | None:
        """The latest level for ``target`` in ``feed``, in digits; None when there is none."""
        return self.latest[product].get(feed, {}).get(target)

    def revision(self, product: str, feed: str) -> int:
        """Another number whenever what ``feed`` has of ``product`` may have changed."""
        return self._revisions.get((product, feed), 0)

    def is_supported(self, product: str, target: str, feed: str | None = None) -> bool:
        """Whether ``feed``, or without it any feed, has patches for ``target``."""
        feeds = list(self.latest[product].items())
        return any(target in answers for name, answers in feeds if feed in (None, name))

    def _entry(self, key: Key) -> KeyEntry:
        products = frozenset(keys.products_of(self.portal, key))
        return KeyEntry(key.feed_id, products, key.enabled)

    def _load_feed(self, product: str, feed: str) -> None:
        newest = (
            enabled_levels(product, feed)
            .select(Level.target, peewee.fn.MAX(Level.level))
            .group_by(Level.target)
        )
        self.latest[product][feed] = {
            target: b"%d" % level for target, level in newest.tuples().iterator()
        }

    def _apply_key(self, name: str, row: dict[str, Any] | None) -> None:
        if row is None:
            self.keys.pop(name, None)
            return
        key = Key.get_or_none(key=name)
        if key is None:
            return
        fresh, entry = self._entry(key), self.keys.get(name)
        if entry is None:
            self.keys[name] = fresh
        else:
            entry.products, entry.enabled, entry.feed = fresh.products, fresh.enabled, fresh.feed

    def _apply_server(self, server: str, row: dict[str, Any] | None) -> None:
        if row is None:
            self.servers.pop(server.encode(), None)
        elif (entry := self.keys.get(row["key"])) is not None:
            self.servers[server.encode()] = entry

    def _apply_feed(self, feed: str, row: dict[str, Any] | None) -> None:
        if row is None:
            self.feeds.discard(feed)
        else:
            self.feeds.add(feed)
        for name, product in self.latest.items():
            if row is None:
                product.pop(feed, None)
                self._revisions[name, feed] = next(self._revision)
            else:
                product.setdefault(feed, {})

    def _apply_feed_patchset(self, key: str, row: dict[str, Any] | None) -> None:
        feed, product, _ = key.split("/", 2)
        patchset = key.partition("/")[2]
        self._revisions[product, feed] = next(self._revision)
        if product not in self.latest or feed not in self.latest[product]:
            return
        targets = Level.select(Level.target).where(Level.patchset == patchset)
        touched = [target for (target,) in db.rows(targets)]
        if not touched:
            # The patchset was deleted, and its targets with it.
            self._load_feed(product, feed)
            return
        newest = dict(
            enabled_levels(product, feed)
            .select(Level.target, peewee.fn.MAX(Level.level))
            .where(Level.target.in_(Level.select(Level.target).where(Level.patchset == patchset)))
            .group_by(Level.target)
            .tuples()
        )
        answers = self.latest[product][feed]
        for target in touched:
            if target in newest:
                answers[target] = b"%d" % newest[target]
            else:
                answers.pop(target, None)


class Follower(threading.Thread):
    """Keeps a memory true until it is stopped."""

    def __init__(self, memory: Memory) -> None:
        super().__init__(name="follower", daemon=True)
        self._memory = memory
        self._stopping = threading.Event()
        #: The last error while reading the change log, empty when the last look went well.
        self.problem = ""

    @property
    def health(self) -> str:
        """What keeps the answers from being true; empty when nothing does."""
        return self.problem or ("" if self.is_alive() else "The change log is not read any more.")

    def run(self) -> None:
        while not self._stopping.wait(FOLLOW_PERIOD):
            try:
                self._memory.follow()
                self.problem = ""
            except DatabaseError as error:
                self.problem = str(error)
                log.error("%s The agents get the answers of before.", error.in_full)

    def stop(self) -> None:
        self._stopping.set()
        self.join()
