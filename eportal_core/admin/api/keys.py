"""``/admin/api/keys``: the registration keys, made and changed by one call."""

from __future__ import annotations

import msgspec

from eportal_core import queries
from eportal_core.admin.api.operation import Access, Call, NoArguments, Operation
from eportal_core.admin.api.shapes import Deleted
from eportal_core.admin.api.upsert import delete, upsert
from eportal_core.models import MAIN
from eportal_core.operations import keys
from eportal_core.operations.names import random_id


class KeyShown(msgspec.Struct, frozen=True):
    """A key. server_limit: 0 is no limit. servers: registered by it."""

    key: str
    feed: str
    note: str
    server_limit: int
    products: list[str]
    enabled: bool
    servers: int


class Keys(msgspec.Struct, frozen=True):
    result: list[KeyShown]


class OneKey(msgspec.Struct, frozen=True):
    result: KeyShown


class KeyWanted(msgspec.Struct, frozen=True):
    """server_limit: 0 is no limit. product: may stand several times; none is the default products.

    enabled: false locks its servers out.
    """

    key: str | None = None
    feed: str | None = None
    note: str | None = None
    server_limit: int | None = None
    product: list[str] | None = None
    enabled: bool | None = None


class KeyNamed(msgspec.Struct, frozen=True):
    key: str


def list_keys(call: Call, arguments: NoArguments) -> Keys:
    """All keys, the oldest first."""
    found = msgspec.convert(queries.keys(call.portal), list[KeyShown])
    return Keys([key for key in found if call.may_have_feed(key.feed)])


def put_key(call: Call, arguments: KeyWanted) -> OneKey:
    """Add a key, or change what is given of it. Without a name, a new one is made up."""
    feed = arguments.feed or None
    if feed is not None:
        call.check_feed(feed)
    name = arguments.key or random_id()

    def change() -> None:
        call.check_feed(keys.get(name).feed_id)
        keys.change(
            call.portal,
            name,
            feed=feed,
            note=arguments.note,
            server_limit=arguments.server_limit,
            products=arguments.product,
            enabled=arguments.enabled,
        )

    def add() -> None:
        call.check_feed(feed or MAIN)
        keys.add(
            call.portal,
            name,
            feed=feed or MAIN,
            note=arguments.note or "",
            server_limit=arguments.server_limit or 0,
            products=arguments.product or keys.DEFAULT_PRODUCTS,
            enabled=arguments.enabled is not False,
        )

    upsert(change, add)
    return OneKey(msgspec.convert(queries.keys(call.portal, name)[0], KeyShown))


def delete_key(call: Call, arguments: KeyNamed) -> Deleted:
    """Delete a key and the servers registered by it. One that is not there is no error."""

    def remove() -> None:
        call.check_feed(keys.get(arguments.key).feed_id)
        keys.remove(call.portal, arguments.key)

    return delete(remove)


OPERATIONS = (
    Operation("GET", "/admin/api/keys", Access.READER, list_keys, limited=True),
    Operation("POST", "/admin/api/keys", Access.ADMIN, put_key, limited=True, all_products=True),
    Operation(
        "DELETE", "/admin/api/keys/{key}", Access.ADMIN, delete_key, limited=True, all_products=True
    ),
)
