"""Add, change and remove users of the admin side."""

from __future__ import annotations

import peewee

from eportal_core import db
from eportal_core.auth.passwords import hashed
from eportal_core.errors import AccessDenied, Conflict, InvalidValue, NotFound
from eportal_core.models import LOCAL, Session, User
from eportal_core.operations.names import check_text, is_plain, told
from eportal_core.portal import Portal
from eportal_core.types import Event, Identity

NAME_MAX_LENGTH = 200
NOTE_MAX_LENGTH = 1000
#: No longer one is hashed: that would take time and no guessing is easier for it.
PASSWORD_MAX_LENGTH = 1000


def find(username: str) -> User | None:
    """The user of this name, if there is one."""
    found: User | None = User.get_or_none(username=username) if is_plain(username) else None
    return found


def get(username: str) -> User:
    """The user.

    Raises:
        NotFound: there is none.
    """
    user = find(username)
    if user is None:
        raise NotFound(f"There is no user {told(username)}.")
    return user


def add(
    portal: Portal, username: str, password: str, *, readonly: bool = False, note: str = ""
) -> User:
    """A new local user.

    Raises:
        InvalidValue: a value is not allowed, such as a password that is too short.
        Conflict: the name is taken.
    """
    check_password(portal, password)
    kept = hashed(password)
    with db.database.atomic():
        user = _new(username, LOCAL, readonly, note, kept)
    portal.announce(Event("user.added", username))
    return user


def change(
    portal: Portal,
    username: str,
    *,
    password: str | None = None,
    readonly: bool | None = None,
    note: str | None = None,
) -> User:
    """Change what is given, leave what is None; a new password or role ends the user's sessions.

    Raises:
        NotFound: there is no such user.
        InvalidValue: a value is not allowed, or the user's password is not kept here.
        Conflict: nobody would be left who may change anything.
    """
    if password is not None:
        check_password(portal, password)
    kept = None if password is None else hashed(password)
    with db.database.atomic():
        user = get(username)
        before = (user.password, user.readonly)
        if kept is not None:
            if user.backend != LOCAL:
                raise InvalidValue(
                    f"The password of {told(username)} is not kept here, but by {user.backend}."
                )
            user.password = kept
        if readonly is not None:
            if readonly and not user.readonly:
                _check_other_admin(user)
            user.readonly = readonly
        if note is not None:
            user.description = check_text(note, "note", NOTE_MAX_LENGTH)
        user.put()
        if (user.password, user.readonly) != before:
            Session.delete().where(Session.user == user).execute()
    portal.announce(Event("user.changed", username))
    return user


def remove(portal: Portal, username: str) -> None:
    """Remove a user, with sessions and API keys.

    Raises:
        NotFound: there is no such user.
        Conflict: nobody would be left who may change anything.
    """
    with db.database.atomic():
        user = get(username)
        _check_other_admin(user)
        user.drop()
    portal.announce(Event("user.removed", username))


def known_by(portal: Portal, identity: Identity) -> User:
    """The user whom a backend has just vouched for; one who is new here is added, readonly.

    As by ``change``, a role that the backend gives anew ends the user's sessions.

    Raises:
        AccessDenied: the name is another backend's user here.
        InvalidValue: nobody may be called so.
    """
    done = ""
    with db.database.atomic():
        user = find(identity.username)
        if user is None:
            readonly = True if identity.readonly is None else identity.readonly
            user = _new(identity.username, identity.backend, readonly, identity.description, "")
            done = "added"
        elif user.backend != identity.backend:
            raise AccessDenied(
                f"The name {told(user.username)} is that of a user of {user.backend} here."
            )
        elif identity.readonly is not None and identity.readonly != user.readonly:
            user.readonly = identity.readonly
            user.put()
            Session.delete().where(Session.user == user).execute()
            done = "changed"
    if done:
        portal.announce(Event(f"user.{done}", user.username))
    return user


def check_name(username: str) -> None:
    """Raises: InvalidValue: nobody may be called so. Conflict: the name is taken."""
    name = check_text(username, "name", NAME_MAX_LENGTH)
    # One who looks like another on every page would be taken for him, and one that is no part of a
    # path could not be removed by the HTTP API.
    if not name.strip(".") or name != name.strip() or ":" in name or "/" in name:
        raise InvalidValue(
            "The name of a user may not be empty or all dots, has no blank before or behind it, no "
            "colon and no slash."
        )
    if find(username) is not None:
        raise Conflict(f"User {told(username)} exists already.")


def check_password(portal: Portal, password: str) -> None:
    """Raises: InvalidValue: it is shorter than AUTH_PASSWORD_MIN_LENGTH, or far too long."""
    least = portal.config["AUTH_PASSWORD_MIN_LENGTH"]
    if len(password) < least:
        raise InvalidValue(f"The password must have at least {least} characters.")
    if len(password) > PASSWORD_MAX_LENGTH:
        raise InvalidValue(f"The password may have at most {PASSWORD_MAX_LENGTH} characters.")


def _new(username: str, backend: str, readonly: bool, note: str, password: str) -> User:
    """The caller holds the transaction."""
    check_name(username)
    last = User.select(peewee.fn.MAX(User.number)).scalar() or 0
    return User.new(
        username=username,
        number=last + 1,
        backend=backend,
        password=password,
        readonly=readonly,
        description=check_text(note, "note", NOTE_MAX_LENGTH),
    )


def _check_other_admin(user: User) -> None:
    """Raises: Conflict: ``user`` is the only administrator."""
    others = User.select().where(~User.readonly, User.username != user.username)
    if not user.readonly and not others.exists():
        raise Conflict(
            f"{user.username} is the only administrator: give another user the role admin first."
        )
