"""A page as a value, and what the function that answers it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette_admin.flash import flash, get_flashed_messages
from starlette_admin.security.csrf import CSRFMiddleware

from eportal_core import db
from eportal_core.admin.access import caller_of
from eportal_core.admin.api.arguments import arguments_of
from eportal_core.admin.api.operation import Access, Call
from eportal_core.admin.ui.addresses import url
from eportal_core.errors import AccessDenied, Forbidden, PortalError
from eportal_core.portal import Portal
from eportal_core.types import Caller

if TYPE_CHECKING:
    from starlette.templating import Jinja2Templates

    from eportal_core.admin.ui.navigation import Group

T = TypeVar("T", bound=msgspec.Struct)
P = TypeVar("P")
#: What a page tells once stands in a cookie meanwhile; browsers drop one of more than 4,096 bytes.
_TOLD_MAX = 500


@dataclass(frozen=True)
class Form:
    """What the fields of a form hold, by name, and the sentence that tells what is wrong."""

    values: Mapping[str, Any]
    error: str = ""


@dataclass(frozen=True)
class Visit:
    """One request for a page; ``values`` are its arguments, wherever they stood.

    caller: None only where anybody may come. The function runs in a thread, on a database
    connection; changes are recorded as the caller's.
    """

    portal: Portal
    request: Request
    caller: Caller | None
    values: Mapping[str, Sequence[Any]]
    templates: Jinja2Templates
    navigation: Sequence[Group]

    @property
    def user(self) -> Caller:
        assert self.caller is not None, "the page lets anybody in"
        return self.caller

    @property
    def can_change(self) -> bool:
        """Whether whoever looks may change anything: without, a page shows no buttons."""
        return self.caller is not None and not self.caller.readonly

    @property
    def call(self) -> Call:
        """The same as a call of the HTTP API, for a page that wants one of its functions."""
        return Call(self.portal, self.request, self.caller)

    def text(self, name: str, default: str = "") -> str:
        """The argument, the last one where it stands twice."""
        found = self.values.get(name) or [default]
        return str(found[-1])

    def number(self, name: str) -> int:
        """The argument as a whole number from 0; 0 for what is none."""
        text = self.text(name)
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0

    def texts(self, name: str) -> list[str]:
        """All values of the argument that are not empty."""
        return [str(value) for value in self.values.get(name, ()) if value not in ("", None)]

    def while_admitted(self, pieces: Iterable[P]) -> Iterator[P]:
        """``pieces`` of a streamed answer, for as long as the session lasts.

        Raises:
            AccessDenied: it ended meanwhile; whoever reads sees that the answer was broken off.
        """
        for piece in pieces:
            if self.user.means == "session":
                with db.connection():
                    if caller_of(self.portal, self.request) is None:
                        raise AccessDenied("The session ended while a list was sent.")
            yield piece

    def arguments(self, takes: type[T]) -> T:
        """The arguments as ``takes``, a ``msgspec.Struct``.

        A box that is not ticked is not sent, so give it a default.

        Raises:
            InvalidValue: one is missing, or is no value of its field; the sentence names it.
        """
        return arguments_of(takes, self.values)

    def typed(self, error: PortalError, *lists: str) -> Form:
        """A form that was refused, as it was filled in; ``lists`` names fields of many values.

        What was not sent is not in it.
        """
        kept = {name: self.text(name) for name in self.values if name not in lists}
        kept.pop(CSRFMiddleware.field_name, None)
        return Form({**kept, **{name: self.texts(name) for name in lists}}, str(error))

    def page(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """The page that ``template`` makes of ``context``; a ``form`` with an error is a 422."""
        form = context.get("form")
        if status == 200 and isinstance(form, Form) and form.error:
            status = 422
        given = {
            "visit": self,
            "can_change": self.can_change,
            "navigation": self.navigation,
            "here": self.request.url.path,
            "flashed_messages": get_flashed_messages(self.request),
            **context,
        }
        return self.templates.TemplateResponse(self.request, template, given, status)

    def confirm(
        self, title: str, loses: Sequence[str], button: str, back: str, **hidden: str
    ) -> Response:
        """A page that asks before something is destroyed; the answer is a POST to its own path.

        loses: sentences that say what goes, with counts. back: where Cancel leads, with
        ``/admin``. hidden: fields of the POST.
        """
        return self.page(
            "confirm.html", title=title, loses=loses, button=button, back=back, hidden=hidden
        )

    def go(self, path: str, told: str = "", kind: str = "success", **query: Any) -> Response:
        """Lead to another page, where the sentence ``told`` is shown once.

        path: without ``/admin``, as that of a ``View``. kind: success, info, warning or error.
        """
        if told:
            flash(self.request, told[:_TOLD_MAX], kind)
        return RedirectResponse(url(path, **query), 303)


@dataclass(frozen=True)
class View:
    """``METHOD path`` and the function that answers it; ``path`` is without ``/admin``.

    access: READER for every user who is logged in, OWN for the same and what is theirs, ADMIN for
    those who may change things, ANYBODY for whoever comes.
    """

    method: str
    path: str
    access: Access
    function: Callable[[Visit], Response]

    def check(self, caller: Caller | None) -> None:
        """Raises: AccessDenied: nobody is logged in. Forbidden: the caller may not come here."""
        if caller is not None and caller.means.startswith("API key"):
            raise Forbidden("API keys are for /admin/api: log in to see pages.")
        if self.access is Access.ANYBODY:
            return
        if caller is None:
            raise AccessDenied("This page is for users who have logged in.")
        if self.access is Access.ADMIN and caller.readonly:
            raise Forbidden("A readonly user may not do this.")
