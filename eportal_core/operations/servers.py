"""Register, tag and remove servers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import peewee

from eportal_core import db
from eportal_core.errors import InvalidValue, KeyDisabled, KeyFull, NotFound, UnknownKey
from eportal_core.models import Checkin, Facts, Key, Server, now, record
from eportal_core.operations.names import check_hostname, check_tags, is_plain, random_id
from eportal_core.portal import Portal
from eportal_core.types import Event

_SQL_VARIABLES = 500


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
        if row.server_limit and _count(row) >= row.server_limit:
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
    with db.database.atomic():
        count = drop(Server.select().join(Checkin).where(silent))
    if count:
        portal.announce(Event("server.cleaned", str(count)))
    return count


def delete(portal: Portal, *, hostname: str = "", ip: str = "", server_id: str = "") -> int:
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
        count = drop(Server.select().join(Facts).where(*wanted))
    portal.announce(Event("server.cleaned", str(count)))
    return count


def _count(key: Key) -> int:
    return Server.select().where(Server.key == key).count()


def drop(query: peewee.ModelSelect[Server]) -> int:
    """Delete and record the servers of ``query``; the caller holds the transaction."""
    servers = list(query)
    record(servers, tombstone=True)
    for batch in peewee.chunked([server.id for server in servers], _SQL_VARIABLES):
        Server.delete().where(Server.id.in_(batch)).execute()
    return len(servers)
