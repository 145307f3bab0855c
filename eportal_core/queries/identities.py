"""Users and API keys, as listings show them."""

from __future__ import annotations

from typing import Any

import peewee

from eportal_core.models import ApiKey, ApiKeyUse, User, shown
from eportal_core.operations.users import get as user_of


def users(name: str | None = None) -> list[dict[str, Any]]:
    """Users in the shape of the HTTP API and their ``role``, oldest first; or that one.

    Raises:
        NotFound: there is no user of this name.
    """
    rows = User.select().order_by(User.number) if name is None else [user_of(name)]
    return [
        {
            "id": user.number,
            "username": user.username,
            "description": user.description,
            "readonly": user.readonly,
            "role": "readonly" if user.readonly else "admin",
            "backend": user.backend,
            "created": shown(user.created),
        }
        for user in rows
    ]


def api_keys(username: str | None = None) -> list[dict[str, Any]]:
    """API keys, of all users or of one, oldest first; no token is in it.

    Raises:
        NotFound: there is no user of this name.
    """
    rows = (
        ApiKey.select(ApiKey, ApiKeyUse.time.alias("used"))
        .join(ApiKeyUse, peewee.JOIN.LEFT_OUTER)
        .order_by(ApiKey.created, ApiKey.id)
    )
    if username is not None:
        rows = rows.where(ApiKey.user == user_of(username))
    return [
        {
            "id": key["id"],
            "user": key["user"],
            "name": key["name"],
            "scope": "write" if key["write"] else "read",
            "products": key["products"],
            "feeds": key["feeds"],
            "created": shown(key["created"]),
            "expires": shown(key["expires"]),
            "used": shown(key["used"]),
        }
        for key in rows.dicts().iterator()
    ]
