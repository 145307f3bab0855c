"""Register, tag and remove servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import peewee

from eportal_core import db
from eportal_core.errors import InvalidValue, KeyDisabled, KeyFull, NotFound, UnknownKey
from eportal_core.models import Checkin, Facts, Key, Server, now, record
from eportal_core.operations.names import check_hostname, check_tags, is_plain, random_id, told
from eportal_core.portal import Portal
from eportal_core.types import Event

_SQL_VARIABLES = 500
#: Silent servers that go with one transaction.
_LOT = 200


@dataclass(frozen=True)
class Among:
    """The servers that somebody may change: those whose key has one of these feeds and products.

    None stands for all.
    """

    feeds: Sequence[str] | None = None
    products: Sequence[str] | None = None

    def conditions(self, portal: Portal) -> list[Any]:
        """What a query of ``Server`` is narrowed by."""
        found: list[Any] = []
        if self.feeds is not None:
            in_feeds = Key.select(Key.key).where(Key.feed.in_(list(self.feeds)))
            found.append(Server.key.in_(in_feeds))
        if self.products is not None:
            found.append(Server.key.in_(keys_with(portal, self.products)))
        return found


ALL = Among()


def keys_with(portal: Portal, products: Sequence[str]) -> list[str]:
    """The keys that have one of these products, be it as one of the default ones."""
    default = any(portal.products[name].default for name in products if name in portal.products)
    return [
        key.key
        for key in Key.select(Key.key, Key.products)
        if (default if key.products is None else not set(products).isdisjoint(key.products))
    ]


def get(server_id: str) -> Server:
    """The server with this id.

    Raises:
        NotFound: there is none.
    """
    server = Server.get_or_none(id=server_id) if is_plain(server_id) else None
    if server is None:
        raise NotFound("There is no server with this id.")
    return server


def register(portal: Portal, key: str, hostname: str, ip: str) -> Server:
    """A new server under ``key``; its place is taken and stored before this returns.

    Raises:
        InvalidValue: the host name is none.
        RegistrationRefused: unknown key, disabled key, or no place left.
    """
    check_hostname(hostname)
    # The transaction holds the write lock from its beginning: no two take the last place.
    with db.database.atomic():
        row = Key.get_or_none(key=key)
        if row is None:
            raise UnknownKey
        if not row.enabled:
            raise KeyDisabled
        if row.server_limit and count_of(row) >= row.server_limit:
            raise KeyFull
        server = Server.new(id=random_id(), key=row, hostname=hostname)
        Checkin.create(server=server)
        Facts.create(server=server, hostname=hostname, ip=ip)
    portal.announce(Event("server.registered", server.id))
    return server


def unregister(portal: Portal, server_id: str) -> None:
    """Remove one server.

    Raises:
        NotFound: there is none with this id.
    """
    with db.database.atomic():
        get(server_id).drop()
    portal.announce(Event("server.removed", server_id))


def set_tags(portal: Portal, server_id: str, tags: str) -> Server:
    """Replace a server's tags; an empty text removes them.

    Raises:
        NotFound, InvalidValue: no such server, or tags that cannot be shown.
    """
    with db.database.atomic():
        changed = store_tags(server_id, tags)
        server = get(server_id)
    if changed:
        announce_tags(portal, server_id)
    return server


def store_tags(server_id: str, tags: str) -> bool:
    """Whether that changed the tags; the caller holds the transaction, and announces after it.

    Raises:
        NotFound, InvalidValue: as ``set_tags``.
    """
    checked = check_tags(tags)
    server = get(server_id)
    if server.tags == checked:
        return False
    server.tags = checked
    server.put()
    return True


def announce_tags(portal: Portal, server_id: str) -> None:
    """Tell the plugins of tags that were changed and committed."""
    portal.announce(Event("server.tagged", server_id))


def clean_inactive(portal: Portal) -> int:
    """Remove every server silent for ``INACTIVE_SERVER_AGE``; returns how many."""
    oldest = now() - timedelta(seconds=portal.config["INACTIVE_SERVER_AGE"])
    silent = (Checkin.time < oldest) | (Checkin.time.is_null() & (Server.registered < oldest))
    some = Server.select(Server.id).join(Checkin).where(silent).limit(_LOT)
    return delete_found(portal, lambda: [server for (server,) in db.rows(some)])


def delete(
    portal: Portal,
    *,
    hostname: str = "",
    ip: str = "",
    server_id: str = "",
    among: Among = ALL,
) -> int:
    """Remove the servers that match everything given; returns how many.

    Raises:
        InvalidValue: nothing is given.
    """
    wanted: list[Any] = []
    if hostname:
        wanted.append(Facts.hostname == hostname)
    if ip:
        wanted.append(Facts.ip == ip)
    if server_id:
        wanted.append(Server.id == server_id)
    if not wanted:
        raise InvalidValue("Name at least one of hostname, ip and server_id.")
    with db.database.atomic():
        wanted += among.conditions(portal)
        count = drop(Server.select().join(Facts).where(*wanted))
    if count:
        portal.announce(Event("server.cleaned", str(count)))
    return count


def delete_found(portal: Portal, find: Callable[[], Sequence[str]], among: Among = ALL) -> int:
    """Remove servers as long as ``find`` finds some, a few hundred ids at a time.

    Each lot is looked for and removed in one transaction: a server that is heard of meanwhile is
    found no more, and check-ins wait for one lot and not for all.
    """
    return sum(deleting(portal, find, among))


def deleting(
    portal: Portal, find: Callable[[], Sequence[str]], among: Among = ALL
) -> Iterator[int]:
    """As ``delete_found``; yields how many servers went with each lot."""
    while True:
        with db.database.atomic():
            ids = find()
            removed = drop(_these(portal, ids, among))
        if not removed:
            return
        portal.announce(Event("server.cleaned", str(removed)))
        yield removed


def change_tags(
    portal: Portal,
    ids: Sequence[str],
    change: Callable[[str], str],
    among: Among = ALL,
) -> int:
    """Give each server the tags that ``change`` makes of its own; returns how many there are.

    Raises:
        InvalidValue: a server would have tags that cannot be shown, or too many; none is changed.
    """
    with db.database.atomic():
        there = list(_these(portal, ids, among))
        changed = [each.id for each in there if store_tags(each.id, change(each.tags or ""))]
    for server_id in changed:
        announce_tags(portal, server_id)
    return len(there)


def move(portal: Portal, ids: Sequence[str], key: str, among: Among = ALL) -> int:
    """Give servers another key, and so its feed and products; returns how many there are.

    Raises:
        NotFound: there is no such key.
        KeyFull: it has no place for all of them; none is moved.
    """
    with db.database.atomic():
        row = Key.get_or_none(key=key) if is_plain(key) else None
        if row is None:
            raise NotFound(f"There is no key {told(key)}.")
        there = list(_these(portal, ids, among))
        moving = [each for each in there if each.key_id != row.key]
        if moving and row.server_limit and count_of(row) + len(moving) > row.server_limit:
            raise KeyFull
        for each in moving:
            each.key = row
            each.put()
    for each in moving:
        portal.announce(Event("server.moved", each.id, row.feed_id))
    return len(there)


def _these(portal: Portal, ids: Sequence[str], among: Among) -> Any:
    """The servers of these ids that are there and may be changed."""
    return Server.select().where(Server.id.in_(list(ids)), *among.conditions(portal))


def count_of(key: Key) -> int:
    """How many servers have the key."""
    return Server.select().where(Server.key == key).count()


def drop(query: peewee.ModelSelect[Server]) -> int:
    """Delete and record the servers of ``query``; the caller holds the transaction."""
    servers = list(query)
    record(servers, tombstone=True)
    for batch in peewee.chunked([server.id for server in servers], _SQL_VARIABLES):
        Server.delete().where(Server.id.in_(batch)).execute()
    return len(servers)
