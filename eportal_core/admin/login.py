"""``/admin/login`` and ``/admin/logout``: how a browser gets a session, and ends it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from html import escape
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from eportal_core import db
from eportal_core.admin.access import (
    address_of,
    caller_of,
    check_same_site,
    user_by_password,
)
from eportal_core.admin.cookies import drop_session_cookie, session_cookie, set_session_cookie
from eportal_core.admin.navigation import below_admin
from eportal_core.admin.page import page
from eportal_core.auth import sessions, throttle
from eportal_core.errors import AccessDenied, PortalError, TooOften
from eportal_core.models import Actor, User, acting
from eportal_core.operations import users
from eportal_core.portal import Portal
from eportal_core.types import Caller, Identity, Page
from eportal_core.web.arguments import read_arguments

log = logging.getLogger("eportal.auth")

LOGIN = "/admin/login"
LOGOUT = "/admin/logout"
LOGOUT_FORM = f'<form method="post" action="{LOGOUT}"><button>Log out</button></form>'
#: Bytes that a form with a name and a password may have.
_FORM_MAX = 64 * 1024
#: Where a login may lead: no other host, whatever a browser makes of the characters.
_LOCAL = re.compile(r"/admin(?:[/?][!-\[\]-~]*)?")
_LOCAL_MAX_LENGTH = 2000
_HOME = "/admin/"

_FORM = """<div class="narrow">
<h1>ePortal</h1>
{problem}<form method="post" action="{login}">
<input type="hidden" name="next" value="{onward}">
<label>User name<input name="username" value="{username}" autocomplete="username" required
 autocapitalize="none" spellcheck="false" autofocus></label>
<label>Password<input type="password" name="password" autocomplete="current-password" required>
</label>
<button>Log in</button>
</form>
{links}</div>
"""


def login_routes(portal: Portal) -> list[Route]:
    """The pages, with what plugins bring to them.

    Raises:
        PluginError: two plugins bring the same link.
    """
    links = login_links(portal)

    def show_login(request: Request) -> Response:
        onward = _local(request.query_params.get("next", ""))
        if caller_of(portal, request) is not None:
            return RedirectResponse(onward, 303)
        return _form(request, links, onward)

    async def login(request: Request) -> Response:
        if request.method != "POST":
            return await run_in_threadpool(show_login, request)
        check_same_site(request)
        given = await read_arguments(request)
        return await run_in_threadpool(_log_in, portal, request, links, given)

    def show_logout(request: Request) -> Response:
        return page(request, "Log out", f'<div class="narrow"><h1>ePortal</h1>{LOGOUT_FORM}</div>')

    def logout(request: Request) -> Response:
        if request.method != "POST":
            return show_logout(request)
        check_same_site(request)
        return _log_out(portal, request)

    return [
        Route(LOGIN, login, methods=["GET", "POST"], max_body_size=_FORM_MAX),
        Route(LOGOUT, logout, methods=["GET", "POST"], max_body_size=_FORM_MAX),
    ]


def login_links(portal: Portal) -> list[Page]:
    """Other ways to log in, by title.

    Raises:
        PluginError: two have the same title or path, or a path is not below ``/admin``.
    """
    return below_admin(portal, "eportal_login_links", "login link")


def sign_in(
    portal: Portal, request: Request, identify: Callable[[], Identity], onward: str = _HOME
) -> Response:
    """Begin a session for whom ``identify`` vouches; call it in a thread.

    One who is new here is added. How often ``identify`` may fail is bounded. onward: where the
    browser goes then, a path of the admin side. The answer is a page also when it fails: its
    sentence stands above the form of the login.
    """

    def user() -> User:
        with throttle.attempt(None, address_of(request)):
            identity = identify()
            actor = Actor(identity.username, address_of(request), identity.backend)
            with acting(actor):
                return users.known_by(portal, identity)

    return _begin(portal, request, user, login_links(portal), onward)


def _log_in(
    portal: Portal, request: Request, links: list[Page], given: Mapping[str, str]
) -> Response:
    username, password = given.get("username", ""), given.get("password", "")

    def user() -> User:
        return user_by_password(portal, username, password, address_of(request))

    return _begin(portal, request, user, links, given.get("next", ""), username)


def _begin(
    portal: Portal,
    request: Request,
    find: Callable[[], User],
    links: list[Page],
    onward: str,
    username: str = "",
) -> Response:
    onward = _local(onward)
    address = address_of(request)
    try:
        with db.connection():
            user = find()
            if old := session_cookie(request):
                sessions.end(old)
            agent = request.headers.get("user-agent", "")
            token = sessions.begin(portal.config, user, address, agent)
    except PortalError as error:
        log.info("A login was refused, from %s: %s", address, error)
        return _form(request, links, onward, username, error)
    log.info("%s logged in, from %s", user.username, address)
    response = RedirectResponse(onward, 303)
    set_session_cookie(response, request, portal.config, token)
    return response


def _log_out(portal: Portal, request: Request) -> Response:
    """End the session, and go where its backend has more to end."""
    cookie = session_cookie(request)
    with db.connection():
        session = sessions.find(portal.config, cookie) if cookie else None
        onward = LOGIN
        if session is not None:
            user = session.user
            sessions.end_one(session.id)
            log.info("%s logged out, from %s", user.username, address_of(request))
            caller = Caller(user.username, user.backend, user.readonly, "session")
            onward = _after_logout(portal, caller)
    response = RedirectResponse(onward, 303)
    drop_session_cookie(response, request)
    return response


def _after_logout(portal: Portal, caller: Caller) -> str:
    try:
        path: str | None = portal.ask("eportal_logout", portal=portal, caller=caller)
    # The session is over here, whatever goes wrong elsewhere.
    except (PortalError, OSError) as error:
        log.error("%s", error)
        path = None
    return LOGIN if path is None else _local(path)


def lead_away(request: Request, address: str) -> Response:
    """A page that leads to ``address``, of another host.

    A form of ours may send nothing there, nor be answered with a redirect to it.
    """
    target = escape(address)
    head = f'<meta http-equiv="refresh" content="0; url={target}">\n'
    body = f'<div class="narrow"><h1>ePortal</h1><a class="button" href="{target}">Go on</a></div>'
    return page(request, "ePortal", body, head=head)


def _form(
    request: Request,
    links: list[Page],
    onward: str,
    username: str = "",
    error: PortalError | None = None,
) -> Response:
    query = urlencode({"next": onward})
    body = _FORM.format(
        problem="" if error is None else f'<p role="alert">{escape(str(error))}\n',
        login=LOGIN,
        onward=escape(onward),
        username=escape(username),
        links="".join(
            f'<a class="button" href="{escape(f"{link.path}?{query}")}">{escape(link.title)}</a>\n'
            for link in links
        ),
    )
    if error is None:
        return page(request, "Log in", body)
    # With 401, browsers would ask for a password by themselves.
    status = 403 if isinstance(error, AccessDenied) else error.status
    headers = {"Retry-After": str(error.wait)} if isinstance(error, TooOften) else None
    return page(request, "Log in", body, status, headers=headers)


def _local(path: str) -> str:
    """``path``, if it is one of the admin side; else the index page."""
    good = len(path) <= _LOCAL_MAX_LENGTH and _LOCAL.fullmatch(path)
    # To log in only to be logged out is nothing that anybody means.
    return path if good and path.partition("?")[0] not in (LOGIN, LOGOUT) else _HOME
