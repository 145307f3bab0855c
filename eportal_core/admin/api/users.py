"""``/admin/api/users``: who may use the admin side."""

from __future__ import annotations

import msgspec

from eportal_core import queries
from eportal_core.admin.api.operation import Access, Call, NoArguments, Operation
from eportal_core.admin.api.shapes import Deleted
from eportal_core.admin.api.upsert import delete
from eportal_core.operations import users


class UserShown(msgspec.Struct, frozen=True):
    """A user. id: a number of this portal's. backend: who checks the password."""

    id: int
    username: str
    description: str
    readonly: bool
    backend: str


class Users(msgspec.Struct, frozen=True):
    result: list[UserShown]


class OneUser(msgspec.Struct, frozen=True):
    result: UserShown


class NewUser(msgspec.Struct, frozen=True):
    """password: at least AUTH_PASSWORD_MIN_LENGTH characters. note: the description."""

    username: str
    password: str
    readonly: bool = True
    note: str = ""


class UserChange(msgspec.Struct, frozen=True):
    """What is given changes, the rest stays."""

    username: str
    password: str | None = None
    readonly: bool | None = None
    note: str | None = None


class UserNamed(msgspec.Struct, frozen=True):
    username: str


class WhoAmI(msgspec.Struct, frozen=True):
    username: str
    backend: str
    readonly: bool
    means: str


def list_users(call: Call, arguments: NoArguments) -> Users:
    """All users, the oldest first."""
    return Users(msgspec.convert(queries.users(), list[UserShown]))


def add_user(call: Call, arguments: NewUser) -> OneUser:
    """Add a local user; readonly unless told otherwise."""
    users.add(
        call.portal,
        arguments.username,
        arguments.password,
        readonly=arguments.readonly,
        note=arguments.note,
    )
    return _one(arguments.username)


def change_user(call: Call, arguments: UserChange) -> OneUser:
    """Change a user; a new password or role ends the user's sessions."""
    users.change(
        call.portal,
        arguments.username,
        password=arguments.password,
        readonly=arguments.readonly,
        note=arguments.note,
    )
    return _one(arguments.username)


def delete_user(call: Call, arguments: UserNamed) -> Deleted:
    """Delete a user, with sessions and API keys. One that is not there is no error."""
    return delete(lambda: users.remove(call.portal, arguments.username))


def _one(username: str) -> OneUser:
    return OneUser(msgspec.convert(queries.users(username)[0], UserShown))


def who_am_i(call: Call, arguments: NoArguments) -> WhoAmI:
    """As whom the portal knows the caller."""
    user = call.user
    return WhoAmI(user.username, user.backend, user.readonly, user.means)


OPERATIONS = (
    Operation("GET", "/admin/api/users", Access.READER, list_users),
    Operation("POST", "/admin/api/users", Access.ADMIN, add_user),
    Operation("POST", "/admin/api/users/{username}", Access.ADMIN, change_user),
    Operation("DELETE", "/admin/api/users/{username}", Access.ADMIN, delete_user),
    Operation("GET", "/admin/api/whoami", Access.READER, who_am_i, limited=True),
)
