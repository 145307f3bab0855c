"""The agent process: check-ins, registration, patch files. Composition, nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from eportal_core.agent.checkin import CheckinApp
from eportal_core.agent.forward import ForwardAdmin
from eportal_core.agent.memory import Follower, Memory
from eportal_core.agent.metrics import metrics_route
from eportal_core.agent.registration import checkin_route, registration_routes
from eportal_core.agent.source import source_routes
from eportal_core.agent.userspace import userspace_routes
from eportal_core.agent.writer import Writer
from eportal_core.caching.patches import PatchCache
from eportal_core.portal import Portal
from eportal_core.web.compose import compose
from eportal_core.web.errors import HANDLERS
from eportal_core.web.health import health_routes

#: Largest body of an agent's request, and of one for the admin side, bytes.
BODY_MAX_BYTES = 64 * 1024
ADMIN_BODY_MAX_BYTES = 64 * 1024 * 1024


def agent_app(portal: Portal) -> ASGIApp:
    """The ASGI application of the agent process.

    Raises:
        PluginError: plugins bring the same route.
    """
    memory = Memory(portal)
    writer = Writer(portal)
    follower = Follower(memory)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        portal.start()
        await run_in_threadpool(memory.load)
        writer.start()
        follower.start()
        yield
        follower.stop()
        writer.stop()
        await admin.close()

    admin = ForwardAdmin(f"http://127.0.0.1:{portal.config['ADMIN_PORT']}")
    checkin = next((p.name for p in portal.products.values() if p.checkin), None)
    own = [
        *health_routes(lambda: writer.health or follower.health),
        *registration_routes(portal),
        *([checkin_route(checkin, writer.put)] if checkin else []),
        *userspace_routes(list(portal.stores().values())),
        *source_routes(portal),
        metrics_route(admin, writer),
        # For anybody: who types the address of the portal means its pages.
        Route("/", _to_pages),
        # Before the plugins', whose paths may begin with a feed: none is named admin.
        Mount("/admin", RequestBodyLimitMiddleware(admin, ADMIN_BODY_MAX_BYTES)),
    ]
    app = Starlette(
        routes=compose(portal, "eportal_agent_routes", own),
        lifespan=lifespan,
        exception_handlers=HANDLERS,
        middleware=[Middleware(RequestBodyLimitMiddleware, max_body_size=BODY_MAX_BYTES)],
    )
    app.state.memory = memory
    app.state.cache = PatchCache(portal)
    return CheckinApp(memory, writer.put, checkin, app) if checkin else app


def _to_pages(request: Request) -> RedirectResponse:
    return RedirectResponse("/admin/", 303)
