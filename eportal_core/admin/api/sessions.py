"""``/admin/api/sessions``: who is logged in, in which browsers."""

from __future__ import annotations

import msgspec

from eportal_core.admin.api.operation import Access, Call, Operation
from eportal_core.admin.api.shapes import Deleted
from eportal_core.admin.cookies import session_cookie
from eportal_core.auth import sessions
from eportal_core.errors import Forbidden
from eportal_core.models import shown


class SessionShown(msgspec.Struct, frozen=True):
    """A login in a browser. expires: null when it ends with the browser. agent: what the browser
    calls itself. current: it is the one that asks."""

    id: str
    username: str
    created: str | None
    seen: str | None
    expires: str | None
    address: str
    agent: str
    current: bool


class Sessions(msgspec.Struct, frozen=True):
    result: list[SessionShown]


class OfUser(msgspec.Struct, frozen=True):
    """username: whose; of an administrator's call, all when it is not given."""

    username: str | None = None


class OneSession(msgspec.Struct, frozen=True):
    id: str


def list_sessions(call: Call, arguments: OfUser) -> Sessions:
    """The sessions of the caller; an administrator sees those of all users, or of one."""
    username = arguments.username
    if call.user.readonly:
        _check_own(call, username)
        username = call.user.username
    current = _current(call)
    return Sessions(
        [
            SessionShown(
                session.id,
                session.user_id,
                shown(session.created),
                shown(session.seen),
                shown(session.expires),
                session.address,
                session.agent,
                session.id == current,
            )
            for session in sessions.listed(username)
        ]
    )


def end_session(call: Call, arguments: OneSession) -> Deleted:
    """End a session: one of the caller's, or any when the caller is an administrator.

    The result is 0 when there is none of this id that the caller may end.
    """
    owner = call.user.username if call.user.readonly else None
    return Deleted(sessions.end_one(arguments.id, owner))


def end_sessions(call: Call, arguments: OfUser) -> Deleted:
    """End all sessions of the caller but the one that asks; or, as an administrator, a user's."""
    if call.user.readonly:
        _check_own(call, arguments.username)
    username = arguments.username or call.user.username
    return Deleted(sessions.end_all(username, but=_current(call)))


def _current(call: Call) -> str:
    if call.user.means != "session":
        return ""
    return sessions.identifier(session_cookie(call.request) or "")


def _check_own(call: Call, username: str | None) -> None:
    if username not in (None, call.user.username):
        raise Forbidden("The sessions of other users are for administrators.")


OPERATIONS = (
    Operation("GET", "/admin/api/sessions", Access.READER, list_sessions),
    Operation("DELETE", "/admin/api/sessions", Access.OWN, end_sessions),
    Operation("DELETE", "/admin/api/sessions/{id}", Access.OWN, end_session),
)
