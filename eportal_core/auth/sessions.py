"""Sessions: a login that a browser keeps, as a row here and an opaque id in its cookie."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from eportal_core import db
from eportal_core.config import Config
from eportal_core.models import Session, User, now

#: How exactly it is known when a session was last used.
_USE_PERIOD = timedelta(minutes=1)
#: A session that ends with the browser ends here too, when nobody used it for so long.
UNUSED_MAX = timedelta(days=7)
#: Of one user; who has more loses the one that was not used for the longest.
OF_USER_MAX = 100
_AGENT_MAX_LENGTH = 200


def begin(config: Config, user: User, address: str, agent: str) -> str:
    """A new session of ``user``; returns what the cookie is to hold."""
    token = secrets.token_urlsafe(32)
    with db.database.atomic():
        _sweep(now())
        newest_first = Session.select().where(Session.user == user).order_by(Session.seen.desc())
        for row in newest_first.offset(OF_USER_MAX - 1):
            row.delete_instance()
        Session.create(
            id=identifier(token),
            user=user,
            expires=_end(config),
            address=address,
            agent=agent[:_AGENT_MAX_LENGTH],
        )
    return token


def find(config: Config, token: str) -> Session | None:
    """The session whose cookie holds ``token``, unless it is over; and note that it was used."""
    session: Session | None = (
        Session.select(Session, User).join(User).where(Session.id == identifier(token)).first()
    )
    moment = now()
    if session is None or _is_over(session, moment):
        return None
    # The clock may have been set back meanwhile.
    if abs(moment - session.seen) > _USE_PERIOD:
        session.seen = moment
        if config["AUTH_REFRESH_SESSION"] and session.expires is not None:
            session.expires = _end(config)
        with db.database.atomic():
            session.save(only=[Session.seen, Session.expires])
    return session


def listed(username: str | None = None) -> list[Session]:
    """The sessions of a user, or of all, that are not over; the latest used first."""
    moment = now()
    query = Session.select().order_by(Session.seen.desc(), Session.id)
    if username is not None:
        query = query.where(Session.user == username)
    return [session for session in query if not _is_over(session, moment)]


def end(token: str) -> None:
    """End the session whose cookie holds ``token``; there may be none."""
    end_one(identifier(token))


def end_one(session_id: str, username: str | None = None) -> int:
    """End the session of this id, if it is the user's; returns how many that were."""
    ends = Session.id == session_id
    return _delete(ends if username is None else ends & (Session.user == username))


def end_all(username: str, but: str = "") -> int:
    """End every session of a user but the one of an id; returns how many that were."""
    return _delete((Session.user == username) & (Session.id != but))


def identifier(token: str) -> str:
    """The id of the session whose cookie holds ``token``; it opens nothing."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _delete(which: object) -> int:
    with db.database.atomic():
        count: int = Session.delete().where(which).execute()
    return count


def _sweep(moment: datetime) -> None:
    """Remove the sessions that are over; the caller holds the transaction."""
    unused = Session.expires.is_null() & (Session.seen <= moment - UNUSED_MAX)
    Session.delete().where(unused | (Session.expires <= moment)).execute()


def _is_over(session: Session, moment: datetime) -> bool:
    if session.expires is None:
        return bool(session.seen <= moment - UNUSED_MAX)
    return bool(session.expires <= moment)


def _end(config: Config) -> datetime | None:
    lifetime = config["AUTH_SESSION_LIFETIME"]
    return None if lifetime is None else now() + timedelta(seconds=lifetime)
