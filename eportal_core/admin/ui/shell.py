"""What every page stands in: starlette-admin below ``/admin``, with our users and our templates.

Of starlette-admin there are the templates' environment, the style sheets, the messages that are
shown once and the tokens of forms. Its pages for models are not used: each is five times as large
as ours, and needs scripts and styles that our Content-Security-Policy forbids.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import BaseLoader, Environment, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match, Mount, Route
from starlette.types import ASGIApp, Scope
from starlette_admin.base import BaseAdmin
from starlette_admin.flash import FlashMiddleware

from eportal_core import db
from eportal_core.admin.access import SAFE, address_of, caller_of
from eportal_core.admin.api.operation import Access
from eportal_core.admin.login import LOGIN
from eportal_core.admin.ui.addresses import BASE, url
from eportal_core.admin.ui.assets import asset, static_mount
from eportal_core.admin.ui.brought import all_views
from eportal_core.admin.ui.moments import moment
from eportal_core.admin.ui.navigation import groups
from eportal_core.admin.ui.secret import secret_key
from eportal_core.admin.ui.tokens import Tokens
from eportal_core.admin.ui.views import VIEWS
from eportal_core.admin.ui.visit import View, Visit
from eportal_core.errors import AccessDenied, NotFound, PortalError, TooOften
from eportal_core.fleet_totals import Fleet
from eportal_core.models import Actor, acting
from eportal_core.portal import Portal
from eportal_core.types import Caller
from eportal_core.web.arguments import read_values
from eportal_core.web.errors import BASIC

log = logging.getLogger("eportal.ui")

#: No form has more to say, bytes; archives come by another way.
BODY_MAX_BYTES = 1024 * 1024
_TEMPLATES = Path(__file__).with_name("templates")
_NONCE = re.compile(r"<(script|style)\b")
_EVERY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def ui_mount(portal: Portal, fleet: Fleet) -> Mount:
    """Every page of the admin side but those that have a route of their own.

    fleet: pages find it as ``request.app.state.fleet``.

    Raises:
        PluginError: plugins bring the same page, or the same entry of the navigation.
        StorageError: the key that signs the tokens of forms cannot be kept.
    """
    brought = all_views(portal, VIEWS)
    app = Shell(portal, brought.views, brought.templates).app
    app.state.fleet = fleet
    return _LastMount(app, brought.by)


class Shell:
    """The pages ``views`` as an application; ``templates`` are those that plugins bring."""

    def __init__(self, portal: Portal, views: Sequence[View], templates: BaseLoader) -> None:
        self._portal = portal
        self._navigation = groups(portal)
        key = secret_key(portal.config.data_dir)
        admin = BaseAdmin(
            title="ePortal",
            base_url=BASE,
            templates_dir=str(_TEMPLATES),
            additional_loaders=[templates],
            secret_key=key,
        )
        # Its own come in an order in which a form that is refused has no page.
        admin.middlewares[:] = [
            Middleware(FlashMiddleware, secret_key=key),
            Middleware(RequestBodyLimitMiddleware, max_body_size=BODY_MAX_BYTES),
            Middleware(Tokens, secret_key=key, refuse=self._form_refused),
        ]
        # Its own pages answer to nobody's users.
        admin.routes[:] = [static_mount(), *self._routes(views)]
        self._templates = admin.templates
        _prepare(self._templates.env)
        admin.mount_to(Starlette())
        self.app = admin.app
        self.app.router.redirect_slashes = False
        self.app.add_exception_handler(HTTPException, self._http_error)

    def _routes(self, views: Sequence[View]) -> list[Route]:
        by_path: dict[str, dict[str, View]] = {}
        for view in views:
            by_path.setdefault(view.path, {})[view.method] = view
        pages = [
            Route(path, self._endpoint(methods), methods=list(methods))
            # A path with a name comes before one that may be any, whoever brings it.
            for path, methods in sorted(by_path.items(), key=lambda item: item[0].count("{"))
        ]
        nothing = {method: View(method, "", Access.ANYBODY, _nothing) for method in _EVERY_METHOD}
        return [*pages, Route("/{path:path}", self._endpoint(nothing), methods=_EVERY_METHOD)]

    def _endpoint(self, views: Mapping[str, View]) -> Callable[[Request], Awaitable[Response]]:
        """views: by their methods."""

        async def endpoint(request: Request) -> Response:
            try:
                values = await read_values(request)
            except PortalError as error:
                return await run_in_threadpool(self._refused, request, None, error)
            for name, value in request.path_params.items():
                values[name] = [value]
            return await run_in_threadpool(self._answer, request, values, views)

        return endpoint

    def _answer(
        self, request: Request, values: Mapping[str, Sequence[Any]], views: Mapping[str, View]
    ) -> Response:
        view = views["GET" if request.method == "HEAD" else request.method]
        caller = None
        try:
            with db.connection():
                caller = caller_of(self._portal, request)
                if caller is None and view.access is not Access.ANYBODY:
                    return _to_login(request, "GET" in views)
                view.check(caller)
                with acting(_actor(request, caller)):
                    return view.function(self._visit(request, caller, values))
        except PortalError as error:
            return self._refused(request, caller, error)
        # Whatever it is, whoever looks gets a page, and the log says what it was.
        except Exception:
            log.exception("%s %r failed", request.method, request.url.path)
            sentence = "Something went wrong here; the portal's log says what."
            return self._error(request, caller, 500, sentence)

    def _visit(
        self, request: Request, caller: Caller | None, values: Mapping[str, Sequence[Any]]
    ) -> Visit:
        return Visit(self._portal, request, caller, values, self._templates, self._navigation)

    def _refused(self, request: Request, caller: Caller | None, error: PortalError) -> Response:
        if error.status >= 500:
            log.error("%s %r: %s", request.method, request.url.path, error.in_full)
        response = self._error(request, caller, error.status, str(error))
        if isinstance(error, AccessDenied):
            response.headers.update(BASIC)
        if isinstance(error, TooOften):
            response.headers["Retry-After"] = str(error.wait)
        return response

    async def _http_error(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return await run_in_threadpool(
            self._error, request, None, error.status_code, f"{error.detail}."
        )

    async def _form_refused(self, request: Request, status: int, sentence: str) -> Response:
        return await run_in_threadpool(self._error, request, None, status, sentence)

    def _error(
        self, request: Request, caller: Caller | None, status: int, sentence: str
    ) -> Response:
        title = HTTPStatus(status).phrase
        visit = self._visit(request, caller, {})
        return visit.page(
            "error.html", status=status, title=title, number=status, sentence=sentence
        )


class _LastMount(Mount):
    """Comes after every route that answers, and after every one that would by another method.

    brought_by: plugin by ``METHOD path`` of its pages, for ``compose``.
    """

    def __init__(self, app: ASGIApp, brought_by: Mapping[str, str]) -> None:
        super().__init__(BASE, app=app)
        self.brought_by = brought_by

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        if match is Match.NONE or scope["path"].startswith(f"{BASE}/api/"):
            return Match.NONE, {}
        return Match.PARTIAL, child


class _WithNonce(BaseLoader):
    """Templates whose scripts and styles carry what the Content-Security-Policy asks for."""

    def __init__(self, loader: BaseLoader) -> None:
        self._loader = loader

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        source, name, current = self._loader.get_source(environment, template)
        carried = _NONCE.sub(r'<\1 nonce="{{ request.state.csp_nonce }}"', source)
        return carried, name, current


def _prepare(env: Environment) -> None:
    assert env.loader is not None
    env.loader = _WithNonce(env.loader)
    env.auto_reload = False
    env.undefined = StrictUndefined
    env.trim_blocks = env.lstrip_blocks = True
    env.globals.update(asset=asset, url=url)
    env.filters["moment"] = moment


def _actor(request: Request, caller: Caller | None) -> Actor:
    address = address_of(request)
    return Actor(caller.username, address, caller.means) if caller else Actor("anybody", address)


def _to_login(request: Request, is_page: bool) -> Response:
    """is_page: whether the path can be gone to after the login."""
    onward = request.url.path if is_page else f"{BASE}/"
    if request.method in SAFE and request.url.query:
        onward = f"{onward}?{request.url.query}"
    return RedirectResponse(f"{LOGIN}?next={quote(onward, safe='/')}", 303)


def _nothing(visit: Visit) -> Response:
    path = visit.request.url.path
    if visit.request.method in SAFE and path.endswith("/"):
        query = visit.request.url.query
        return RedirectResponse(f"{path.rstrip('/')}{'?' if query else ''}{query}", 307)
    raise NotFound("There is no such page.")
