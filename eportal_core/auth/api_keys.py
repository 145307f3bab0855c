"""API keys: tokens by which programs call the HTTP API as one of the users."""

from __future__ import annotations

import hashlib
import secrets
from functools import cache

import peewee

from eportal_core import db
from eportal_core.models import ApiKey, ApiKeyUse, User, now
from eportal_core.models.base import NamesField, to_microseconds
from eportal_core.types import Caller

#: How exactly it is known when a key was last used, microseconds.
_USE_PERIOD = 60_000_000


def new_token() -> str:
    """A token of 43 characters of base64url, 256 random bits."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """What is kept of ``token``: its sha256, hex. It is random, so that it needs no slower hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def find(token: str) -> Caller | None:
    """Who calls with this token, unless its time is over; and note that it was used."""
    found = db.fetch(_question(), [digest(token)])
    if not found:
        return None
    key, name, write, products, feeds, expires, username, backend, readonly, used = found[0]
    moment = to_microseconds(now())
    if expires is not None and expires <= moment:
        return None
    if used is None or moment - used > _USE_PERIOD:
        with db.database.atomic():
            ApiKeyUse.insert(key=key, time=moment).on_conflict(
                conflict_target=[ApiKeyUse.key], update={ApiKeyUse.time: moment}
            ).execute()
    return Caller(
        username,
        backend,
        bool(readonly) or not write,
        f"API key {name}",
        _names(products),
        _names(feeds),
    )


def _names(text: str | None) -> tuple[str, ...] | None:
    names = NamesField().python_value(text)
    return None if names is None else tuple(names)


@cache
def _question() -> str:
    """What is asked of the database first in every call of a program, composed once."""
    query = (
        ApiKey.select(
            *(ApiKey.id, ApiKey.name, ApiKey.write, ApiKey.products, ApiKey.feeds, ApiKey.expires),
            *(User.username, User.backend, User.readonly, ApiKeyUse.time),
        )
        .join(User)
        .join_from(ApiKey, ApiKeyUse, peewee.JOIN.LEFT_OUTER)
        .where(ApiKey.digest == "")
    )
    statement: str = query.sql()[0]
    return statement
