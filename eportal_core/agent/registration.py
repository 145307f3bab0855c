"""Registration and what else an agent says of itself, in every form that agents send.

Anybody may call these routes: the key, or the server id, is the credential. Source of paths and
answers: docs/agents.md, which tells what is documented and what is ours.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from eportal_core import db
from eportal_core.agent.access import BASIC, memory_of
from eportal_core.agent.checkin import DISABLED, UNKNOWN, credentials
from eportal_core.agent.facts import QUERY_MAX_BYTES
from eportal_core.agent.writer import Raw
from eportal_core.errors import InvalidValue, NotFound, RegistrationRefused
from eportal_core.models import Actor, acting
from eportal_core.operations import names, servers
from eportal_core.portal import Portal
from eportal_core.web.arguments import read_arguments

OK, LOCKED, UNKNOWN_KEY, LIMIT_REACHED, UNKNOWN_SERVER = range(5)

Arguments: TypeAlias = Mapping[str, str]
Action: TypeAlias = Callable[[Portal, Arguments, str], dict[str, Any]]


@dataclass(frozen=True)
class Call:
    """What an agent wants done: the path it asks, and the function that answers its ``data``."""

    name: str
    action: Action


def registration_routes(portal: Portal, put: Callable[[Raw], object]) -> list[Route]:
    """``/admin/api/kcare/*`` and ``/admin/api/register``."""
    routes = [
        Route(
            f"/admin/api/kcare/{call.name}.{form}",
            _endpoint(portal, call.action, answer),
            methods=["GET", "POST"],
        )
        for call in _CALLS
        for form, answer in (("json", _as_json), ("plain", _as_plain))
    ]
    for route in routes:
        # Starlette lets HEAD in where GET is; here it would do something and tell nobody.
        route.methods = {"GET", "POST"}
    return [
        *routes,
        Route("/admin/api/kcare/checkin", _checkin_endpoint(put), methods=["POST"]),
        Route("/admin/api/register", _register_endpoint(portal), methods=["POST"]),
        Route("/admin/api/register/", _register_endpoint(portal), methods=["POST"]),
    ]


def _register(portal: Portal, arguments: Arguments, ip: str) -> dict[str, Any]:
    hostname = arguments.get("hostname") or ip
    server = servers.register(portal, arguments.get("key", ""), hostname, ip)
    return {"server_id": server.id}


def _unregister(portal: Portal, arguments: Arguments, ip: str) -> dict[str, Any]:
    servers.unregister(portal, arguments.get("server_id", ""))
    return {}


def _check(portal: Portal, arguments: Arguments, ip: str) -> dict[str, Any]:
    server = servers.get(arguments.get("server_id", ""))
    if not server.key.enabled:
        raise RegistrationRefused("account-locked", LOCKED, "The key is disabled.")
    return {"server_id": server.id}


def _tag(portal: Portal, arguments: Arguments, ip: str) -> dict[str, Any]:
    server = servers.set_tags(portal, arguments.get("server_id", ""), arguments.get("tag", ""))
    return {"tags": server.tags}


_CALLS = (
    Call("register_server", _register),
    Call("unregister_server", _unregister),
    Call("check", _check),
    Call("tag_server", _tag),
)


def _endpoint(
    portal: Portal, action: Action, answer: Callable[[dict[str, Any], str | None], Response]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        arguments = await read_arguments(request)
        try:
            data = await _in_thread(request, portal, action, arguments)
        except RegistrationRefused as refusal:
            return answer({"code": refusal.number}, str(refusal))
        except NotFound as refusal:
            return answer({"code": UNKNOWN_SERVER}, str(refusal))
        return answer({**data, "code": OK}, None)

    return endpoint


def _register_endpoint(portal: Portal) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        arguments = await read_arguments(request)
        try:
            return JSONResponse(await _in_thread(request, portal, _register, arguments))
        except (RegistrationRefused, InvalidValue) as refusal:
            return JSONResponse({"error": refusal.code, "detail": str(refusal)}, 400)

    return endpoint


def _checkin_endpoint(put: Callable[[Raw], object]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        """The check-in of agents that send their facts as a JSON body."""
        memory = memory_of(request)
        server = credentials(request.scope) or b""
        if server not in memory.servers:
            await run_in_threadpool(memory.follow_after_miss)
        entry = memory.servers.get(server)
        if entry is None:
            return JSONResponse({"error": "unknown-server", "detail": UNKNOWN}, 401, BASIC)
        if not entry.enabled:
            return JSONResponse({"error": "account-locked", "detail": DISABLED}, 403)
        body = await request.body()
        if len(body) > QUERY_MAX_BYTES:
            raise InvalidValue("The facts are too long.")
        kernel_id = request.query_params.get("kernel_id", "")
        put(Raw(server, time.time(), client_address(request), kernel_id, b"", body or b"{}"))
        return JSONResponse({"result": "ok"})

    return endpoint


async def _in_thread(
    request: Request, portal: Portal, action: Action, arguments: Arguments
) -> dict[str, Any]:
    """Run ``action`` off the event loop, then let the memory see what it wrote."""
    ip = client_address(request)

    def work() -> dict[str, Any]:
        with db.connection(), acting(Actor("agent", ip)):
            try:
                return action(portal, arguments, ip)
            finally:
                memory_of(request).follow()

    return await run_in_threadpool(work)


def client_address(request: Request) -> str:
    return names.shown_address(request.client.host) if request.client else ""


def _as_json(data: dict[str, Any], message: str | None) -> Response:
    return JSONResponse({"message": message, "type": None, "success": True, "data": data})


def _as_plain(data: dict[str, Any], message: str | None) -> Response:
    lines = {"code": data["code"], **data}
    return PlainTextResponse(
        "".join(f"{name}:{'' if value is None else value}\n" for name, value in lines.items())
    )
