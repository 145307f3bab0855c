"""Make and remove API keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from eportal_core import db
from eportal_core.auth import api_keys
from eportal_core.errors import Conflict, InvalidValue, NotFound
from eportal_core.models import ApiKey, now
from eportal_core.operations import feeds, users
from eportal_core.operations.names import check_text, is_plain, random_id, told
from eportal_core.portal import Portal
from eportal_core.types import Event

NAME_MAX_LENGTH = 100
#: A user has no more, so that nobody fills the table.
PER_USER_MAX = 100


def add(
    portal: Portal,
    username: str,
    name: str,
    *,
    write: bool = False,
    products: Sequence[str] | None = None,
    feed_names: Sequence[str] | None = None,
    days: int | None = None,
) -> tuple[ApiKey, str]:
    """A new key of a user, and its token, which is told here and never again.

    days: how long it lives, for ever unless given. products, feed_names: those it is for alone,
    None for all.

    Raises:
        NotFound: there is no such user, product or feed.
        InvalidValue: a value is not allowed.
        Conflict: the user has a key of this name, or too many.
    """
    if not check_text(name, "name", NAME_MAX_LENGTH).strip():
        raise InvalidValue("An API key needs a name, which tells what it is for.")
    if days is not None and not 1 <= days <= 36_500:
        raise InvalidValue("An API key lives for 1 to 36500 days, or for ever.")
    for what, names in (("product", products), ("feed", feed_names)):
        # Nobody who names none means all.
        if names is not None and not names:
            raise InvalidValue(f"Name a {what} at least, or no list: then the key is for all.")
    token = api_keys.new_token()
    with db.database.atomic():
        user = users.get(username)
        here = ApiKey.select().where(ApiKey.user == user)
        if here.where(ApiKey.name == name).exists():
            raise Conflict(f"{told(username)} has an API key {told(name)} already.")
        if here.count() >= PER_USER_MAX:
            raise Conflict(f"{told(username)} has {PER_USER_MAX} API keys; remove one first.")
        key = ApiKey.new(
            id=random_id(),
            user=user,
            name=name,
            digest=api_keys.digest(token),
            write=write,
            products=None if products is None else [portal.product(each).name for each in products],
            feeds=None if feed_names is None else [feeds.get(each).name for each in feed_names],
            expires=None if days is None else now() + timedelta(days=days),
        )
    portal.announce(Event("api-key.added", key.id))
    return key, token


def get(key_id: str) -> ApiKey:
    """The key.

    Raises:
        NotFound: there is none with this id.
    """
    key: ApiKey | None = ApiKey.get_or_none(id=key_id) if is_plain(key_id) else None
    if key is None:
        raise NotFound(f"There is no API key {told(key_id)}.")
    return key


def remove(portal: Portal, key_id: str) -> None:
    """Remove a key; whoever uses it is refused from now on.

    Raises:
        NotFound: there is none with this id.
    """
    with db.database.atomic():
        get(key_id).drop()
    portal.announce(Event("api-key.removed", key_id))
