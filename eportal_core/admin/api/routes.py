"""All operations of the HTTP API, and the document that describes them."""

from __future__ import annotations

from importlib.metadata import version

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from eportal_core.admin.api import (
    api_keys,
    feeds,
    jobs,
    keys,
    log,
    monitoring,
    patchsets,
    servers,
    sessions,
    status,
    users,
)
from eportal_core.admin.api.openapi import document
from eportal_core.admin.api.operation import (
    Access,
    Call,
    NoArguments,
    Operation,
    operation_routes,
)
from eportal_core.portal import Portal


def show_openapi(call: Call, arguments: NoArguments) -> Response:
    """This API as an OpenAPI 3.1 document."""
    described = document(OPERATIONS, version("eportal"), call.portal.config["API_AUTH_HEADER"])
    return Response(msgspec.json.encode(described), media_type="application/json")


#: Of the core, in the order of the documentation.
OPERATIONS: tuple[Operation, ...] = (
    *servers.OPERATIONS,
    *feeds.OPERATIONS,
    *keys.OPERATIONS,
    *patchsets.OPERATIONS,
    *users.OPERATIONS,
    *sessions.OPERATIONS,
    *api_keys.OPERATIONS,
    *jobs.OPERATIONS,
    *log.OPERATIONS,
    *status.OPERATIONS,
    *monitoring.OPERATIONS,
    Operation("GET", "/admin/api/openapi.json", Access.READER, show_openapi, limited=True),
)


def api_routes(portal: Portal) -> list[Route]:
    """The routes of the HTTP API."""
    return operation_routes(portal, OPERATIONS)
