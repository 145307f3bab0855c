"""``/admin/sessions``: where one is logged in; administrators see and end the sessions of all."""

from __future__ import annotations

from starlette.responses import Response

from eportal_core.admin.api import sessions as api
from eportal_core.admin.api.operation import Access
from eportal_core.admin.ui.browsers import browser_name
from eportal_core.admin.ui.counting import capital, counted
from eportal_core.admin.ui.visit import View, Visit
from eportal_core.errors import NotFound

_LIST = "/sessions"


def show(visit: Visit) -> Response:
    everybody = visit.can_change and visit.text("of") == "all"
    wanted = api.OfUser(None if everybody else visit.user.username)
    found = api.list_sessions(visit.call, wanted).result
    browsers = {session.id: browser_name(session.agent) for session in found}
    title = "Sessions of all users" if everybody else "Your sessions"
    return visit.page(
        "sessions.html", title=title, sessions=found, everybody=everybody, browsers=browsers
    )


def end(visit: Visit) -> Response:
    of = "all" if visit.text("of") == "all" else ""
    if not api.end_session(visit.call, api.OneSession(visit.text("id"))).result:
        raise NotFound("There is no such session; it may be over already.")
    return visit.go(_LIST, "The session was ended.", of=of)


def end_others(visit: Visit) -> Response:
    count = api.end_sessions(visit.call, api.OfUser()).result
    return visit.go(_LIST, capital(f"{counted(count, 'other session')} ended."))


VIEWS = (
    View("GET", _LIST, Access.READER, show),
    View("POST", "/sessions/end", Access.OWN, end),
    View("POST", "/sessions/end-others", Access.OWN, end_others),
)
