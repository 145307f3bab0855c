"""``/admin/api/api_keys``: one's own API keys; administrators see and remove those of all."""

from __future__ import annotations

from typing import Annotated

import msgspec

from eportal_core import queries
from eportal_core.admin.api.arguments import OR_EMPTY
from eportal_core.admin.api.operation import Access, Call, NoArguments, Operation
from eportal_core.admin.api.shapes import Deleted
from eportal_core.admin.api.upsert import delete
from eportal_core.errors import Forbidden
from eportal_core.operations import api_keys


class ApiKeyShown(msgspec.Struct, frozen=True):
    """An API key. scope: read or write. products, feeds: null is all. Times are UTC."""

    id: str
    user: str
    name: str
    scope: str
    products: list[str] | None
    feeds: list[str] | None
    created: str
    expires: str | None
    used: str | None


class ApiKeys(msgspec.Struct, frozen=True):
    result: list[ApiKeyShown]


class NewApiKey(msgspec.Struct, frozen=True):
    """token: told here and never again."""

    id: str
    token: str


class ApiKeyWanted(msgspec.Struct, frozen=True):
    """days: how long it lives, for ever unless given. product, feed: those it is for alone."""

    name: str
    write: bool = False
    product: Annotated[list[str] | None, OR_EMPTY] = None
    feed: Annotated[list[str] | None, OR_EMPTY] = None
    days: int | None = None


class ApiKeyNamed(msgspec.Struct, frozen=True):
    id: str


def list_api_keys(call: Call, arguments: NoArguments) -> ApiKeys:
    """One's own API keys, or all of them for an administrator."""
    of = call.user.username if call.user.readonly else None
    return ApiKeys(msgspec.convert(queries.api_keys(of), list[ApiKeyShown]))


def add_api_key(call: Call, arguments: ApiKeyWanted) -> NewApiKey:
    """A new API key of whoever calls; it may never do more than its user."""
    key, token = api_keys.add(
        call.portal,
        call.user.username,
        arguments.name,
        write=arguments.write,
        products=arguments.product,
        feed_names=arguments.feed,
        days=arguments.days,
    )
    return NewApiKey(key.id, token)


def delete_api_key(call: Call, arguments: ApiKeyNamed) -> Deleted:
    """Delete one's own API key, or anybody's for an administrator. One that is not is no error."""

    def remove() -> None:
        key = api_keys.get(arguments.id)
        if call.user.readonly and key.user_id != call.user.username:
            raise Forbidden("This API key is another user's.")
        api_keys.remove(call.portal, key.id)

    return delete(remove)


OPERATIONS = (
    Operation("GET", "/admin/api/api_keys", Access.READER, list_api_keys),
    Operation("POST", "/admin/api/api_keys", Access.OWN, add_api_key),
    Operation("DELETE", "/admin/api/api_keys/{id}", Access.OWN, delete_api_key),
)
