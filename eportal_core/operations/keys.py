"""Add, change and remove registration keys."""

from __future__ import annotations

from collections.abc import Sequence

from eportal_core import db
from eportal_core.errors import Conflict, InvalidValue, NotFound
from eportal_core.models import MAIN, Key, Server
from eportal_core.operations import feeds, servers
from eportal_core.operations.names import check_key, check_text, is_plain, random_id, told
from eportal_core.portal import Portal
from eportal_core.types import Event

NOTE_MAX_LENGTH = 1000
#: What ``change`` takes to mean: the default products again.
DEFAULT_PRODUCTS: tuple[str, ...] = ()


def get(key: str) -> Key:
    """The key.

    Raises:
        NotFound: there is none.
    """
    row = Key.get_or_none(key=key) if is_plain(key) else None
    if row is None:
        raise NotFound(f"There is no key {told(key)}.")
    return row


def products_of(portal: Portal, key: Key) -> list[str]:
    """The products that servers of ``key`` may have: its own list, or all default ones."""
    if key.products is not None:
        return list(key.products)
    return sorted(product.name for product in portal.products.values() if product.default)


def add(
    portal: Portal,
    key: str | None = None,
    *,
    feed: str = MAIN,
    note: str = "",
    server_limit: int = 0,
    products: Sequence[str] = DEFAULT_PRODUCTS,
    enabled: bool = True,
) -> Key:
    """A new key; without ``key``, a random one of 16 letters and digits.

    Raises:
        InvalidValue, NotFound: a value is not allowed, the feed or a product does not exist.
        Conflict: the key is taken.
    """
    name = random_id() if key is None else check_key(key)
    with db.database.atomic():
        if Key.get_or_none(key=name):
            raise Conflict(f"Key {name} exists already.")
        row = Key(key=name, feed=feeds.get(feed))
        _set(portal, row, note, server_limit, products, enabled)
        row = Key.new(**row.__data__)
    portal.announce(Event("key.added", name, feed))
    return row


def change(
    portal: Portal,
    key: str,
    *,
    feed: str | None = None,
    note: str | None = None,
    server_limit: int | None = None,
    products: Sequence[str] | None = None,
    enabled: bool | None = None,
) -> Key:
    """Change what is given, leave what is None. ``enabled`` False locks its servers out.

    Raises:
        NotFound: there is no such key, feed or product.
        InvalidValue: a value is not allowed.
    """
    with db.database.atomic():
        row = get(key)
        if feed is not None:
            row.feed = feeds.get(feed)
        _set(portal, row, note, server_limit, products, enabled)
        row.put()
    portal.announce(Event("key.changed", key))
    return row


def remove(portal: Portal, key: str) -> int:
    """Remove a key and every server registered with it. Returns the number of servers.

    Raises:
        NotFound: there is no such key.
    """
    with db.database.atomic():
        row = get(key)
        count = servers.drop(Server.select().where(Server.key == row))
        row.drop()
    portal.announce(Event("key.removed", key))
    return count


def _set(
    portal: Portal,
    row: Key,
    note: str | None,
    server_limit: int | None,
    products: Sequence[str] | None,
    enabled: bool | None,
) -> None:
    if note is not None:
        row.note = check_text(note, "note", NOTE_MAX_LENGTH)
    if server_limit is not None:
        if not 0 <= server_limit <= 10_000_000:
            raise InvalidValue("The server limit is a number from 0, which is no limit.")
        row.server_limit = server_limit
    if products is not None:
        row.products = sorted({portal.product(name).name for name in products}) or None
    if enabled is not None:
        row.enabled = enabled
