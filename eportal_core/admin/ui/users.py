"""``/admin/users``: who may use the admin side."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from eportal_core import queries
from eportal_core.admin.api.operation import Access
from eportal_core.admin.ui.counting import capital, counted
from eportal_core.admin.ui.saving import saved
from eportal_core.admin.ui.visit import Form, View, Visit
from eportal_core.auth import sessions
from eportal_core.errors import PortalError
from eportal_core.models import LOCAL
from eportal_core.operations import users

_LIST = "/users"
#: The roles, as the command line calls them.
_ROLES = (
    ("readonly", "Readonly: sees all, changes nothing"),
    ("admin", "Admin: may change everything"),
)


class _Filled(msgspec.Struct, frozen=True):
    """The form. password: empty leaves it as it is."""

    username: str = ""
    role: str = "readonly"
    description: str = ""
    password: str = ""

    @property
    def readonly(self) -> bool:
        return self.role != "admin"


def show(visit: Visit) -> Response:
    return visit.page("users.html", title="Users", users=queries.users())


def add_form(visit: Visit) -> Response:
    return _form(visit, "Add a user", Form({"role": "readonly"}))


def add(visit: Visit) -> Response:
    try:
        filled = visit.arguments(_Filled)
        users.add(
            visit.portal,
            filled.username,
            filled.password,
            readonly=filled.readonly,
            note=filled.description,
        )
    except PortalError as error:
        return _form(visit, "Add a user", visit.typed(error))
    return saved(visit, f"User {filled.username} was added.", _LIST, username=filled.username)


def edit_form(visit: Visit) -> Response:
    row = queries.users(visit.text("username"))[0]
    return _form(visit, f"User {row['username']}", Form(row), row["backend"])


def edit(visit: Visit) -> Response:
    user = users.get(visit.text("username"))
    try:
        filled = visit.arguments(_Filled)
        users.change(
            visit.portal,
            user.username,
            password=filled.password or None,
            readonly=filled.readonly,
            note=filled.description,
        )
    except PortalError as error:
        return _form(visit, f"User {user.username}", visit.typed(error), user.backend)
    return saved(visit, f"User {user.username} was saved.", _LIST, username=user.username)


def ask_remove(visit: Visit) -> Response:
    name = users.get(visit.text("username")).username
    keys = counted(len(queries.api_keys(name)), "API key")
    logins = counted(len(sessions.listed(name)), "session")
    loses = [f"{capital(keys)} and {logins} of this user will end."]
    if name == visit.user.username:
        loses.append("This is you: you will be logged out.")
    back = f"/admin{_LIST}"
    return visit.confirm(f"Remove user {name}?", loses, "Remove", back, username=name)


def remove(visit: Visit) -> Response:
    name = visit.text("username")
    users.remove(visit.portal, name)
    return visit.go(_LIST, f"User {name} was removed.")


def _form(visit: Visit, title: str, form: Form, backend: str = "") -> Response:
    """backend: of a user who is there already."""
    return visit.page(
        "user.html",
        title=title,
        form=form,
        backend=backend,
        local=backend in ("", LOCAL),
        roles=_ROLES,
        least=visit.portal.config["AUTH_PASSWORD_MIN_LENGTH"],
    )


VIEWS = (
    View("GET", _LIST, Access.READER, show),
    View("GET", "/users/add", Access.ADMIN, add_form),
    View("POST", "/users/add", Access.ADMIN, add),
    View("GET", "/users/edit", Access.ADMIN, edit_form),
    View("POST", "/users/edit", Access.ADMIN, edit),
    View("GET", "/users/remove", Access.ADMIN, ask_remove),
    View("POST", "/users/remove", Access.ADMIN, remove),
)
