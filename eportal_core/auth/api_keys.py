"""API keys: tokens by which programs call the HTTP API as one of the users."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from eportal_core import db
from eportal_core.models import ApiKey, ApiKeyUse, now

#: How exactly it is known when a key was last used.
_USE_PERIOD = timedelta(minutes=1)


def new_token() -> str:
    """A token of 43 characters of base64url, 256 random bits."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """What is kept of ``token``: its sha256, hex. It is random, so that it needs no slower hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def find(token: str) -> ApiKey | None:
    """The key of this token, unless its time is over; and note that it was used."""
    key: ApiKey | None = ApiKey.get_or_none(digest=digest(token))
    moment = now()
    if key is None or (key.expires is not None and key.expires <= moment):
        return None
    used = ApiKeyUse.get_or_none(key=key.id)
    if used is None or moment - used.time > _USE_PERIOD:
        with db.database.atomic():
            ApiKeyUse.insert(key=key.id, time=moment).on_conflict(
                conflict_target=[ApiKeyUse.key], update={ApiKeyUse.time: moment}
            ).execute()
    return key
