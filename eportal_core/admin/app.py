"""The admin process: routes of plugins, jobs. Composition, nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp

from eportal_core.admin.api.routes import api_routes
from eportal_core.admin.index import index_routes
from eportal_core.admin.login import login_routes
from eportal_core.admin.metrics import metrics_routes
from eportal_core.admin.ui.deploy import upload_routes
from eportal_core.admin.ui.shell import ui_mount
from eportal_core.fleet_totals import Fleet
from eportal_core.jobs import JobRunner, all_jobs
from eportal_core.portal import Portal
from eportal_core.web.compose import compose
from eportal_core.web.errors import HANDLERS
from eportal_core.web.headers import AllowedHosts, SecurityHeaders
from eportal_core.web.health import health_routes


def admin_app(portal: Portal) -> ASGIApp:
    """The ASGI application of the admin process.

    Raises:
        PluginError: plugins bring the same route or job.
        ConfigError: ALLOWED_HOSTS holds what is no host name.
    """
    fleet = Fleet(portal)
    jobs = JobRunner(portal.config.data_dir / "jobs.lock", all_jobs(portal))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        portal.start()
        jobs.start()
        await run_in_threadpool(fleet.begin)
        yield
        await run_in_threadpool(jobs.stop)

    own = [
        *health_routes(lambda: ""),
        *index_routes(),
        *login_routes(portal),
        *api_routes(portal),
        *metrics_routes(portal, fleet),
        *upload_routes(portal),
        ui_mount(portal, fleet),
    ]
    app = Starlette(
        routes=compose(portal, "eportal_routes", own, below="/admin"),
        lifespan=lifespan,
        exception_handlers=HANDLERS,
    )
    # Around what answers 500, too.
    return SecurityHeaders(AllowedHosts(app, portal.config["ALLOWED_HOSTS"]))
