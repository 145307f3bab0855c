"""Registration and what else an agent says of itself, in every form that agents send.

Anybody may call these routes: the key, or the server id, is the credential. Source of paths and
answers: docs/agents.md, which tells what is documented and what is ours.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from eportal_core import db
from eportal_core.agent.access import allowed, credentials, memory_of
from eportal_core.agent.facts import QUERY_MAX_BYTES
from eportal_core.agent.memory import Memory
from eportal_core.agent.writer import Raw
from eportal_core.errors import (
    DatabaseError,
    InvalidValue,
    KeyDisabled,
    NotFound,
    RegistrationRefused,
)
from eportal_core.models import Actor, acting
from eportal_core.operations import names, servers
from eportal_core.portal import Portal
from eportal_core.web.arguments import read_arguments

log = logging.getLogger("eportal.agent")

#: Numbers in an answer; those between them are in the tree of RegistrationRefused.
OK, UNKNOWN_SERVER = 0, 4

Arguments: TypeAlias = Mapping[str, str]
Action: TypeAlias = Callable[[Portal, Arguments, str], dict[str, Any]]


def registration_routes(portal: Portal) -> list[Route]:
    """``/admin/api/kcare/*`` and ``/admin/api/register``."""
    routes = [
        Route(
            f"/admin/api/kcare/{name}.{form}",
            _endpoint(portal, action, answer),
            methods=["GET", "POST"],
        )
        for name, action in _CALLS.items()
        for form, answer in (("json", _as_json), ("plain", _as_plain))
    ]
    for route in routes:
        # Starlette lets HEAD in where GET is; here it would do something and tell nobody.
        route.methods = {"GET", "POST"}
    return [
        *routes,
        Route("/admin/api/register", _register_endpoint(portal), methods=["POST"]),
        Route("/admin/api/register/", _register_endpoint(portal), methods=["POST"]),
    ]


def checkin_route(product: str, put: Callable[[Raw], object]) -> Route:
    """``/admin/api/kcare/checkin``: the check-in of agents that send their facts as a JSON body."""

    async def endpoint(request: Request) -> Response:
        memory, server = memory_of(request), credentials(request.scope) or b""
        entry = memory.servers.get(server) or await run_in_threadpool(memory.find, server)
        allowed(entry, product)
        body = await request.body()
        if len(body) > QUERY_MAX_BYTES:
            raise InvalidValue("The facts are too long.")
        kernel_id = request.query_params.get("kernel_id", "")
        put(Raw(server, time.time(), client_address(request), kernel_id, b"", body or b"{}"))
        return JSONResponse({"result": "ok"})

    return Route("/admin/api/kcare/checkin", endpoint, methods=["POST"])


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
        raise KeyDisabled
    return {"server_id": server.id}


def _tag(portal: Portal, arguments: Arguments, ip: str) -> dict[str, Any]:
    server = servers.set_tags(portal, arguments.get("server_id", ""), arguments.get("tag", ""))
    return {"tags": server.tags}


#: What an agent wants done, and the function that answers its ``data``.
_CALLS: dict[str, Action] = {
    "register_server": _register,
    "unregister_server": _unregister,
    "check": _check,
    "tag_server": _tag,
}
#: Those after which another answer is due to the server's next request.
_CHANGE_ACCESS = frozenset({_register, _unregister})


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
        return JSONResponse(await _in_thread(request, portal, _register, arguments))

    return endpoint


async def _in_thread(
    request: Request, portal: Portal, action: Action, arguments: Arguments
) -> dict[str, Any]:
    """Run ``action`` off the event loop, then let the memory see what it wrote."""
    ip = client_address(request)

    def work() -> dict[str, Any]:
        with db.connection(), acting(Actor("agent", ip, "registration")):
            data = action(portal, arguments, ip)
            if action in _CHANGE_ACCESS:
                _show(memory_of(request))
            return data

    return await run_in_threadpool(work)


def _show(memory: Memory) -> None:
    """Let the memory see what was committed; the follower tries again if that is not possible."""
    try:
        memory.follow()
    except DatabaseError as error:
        log.error("%s It was done; the agents get the answers of before.", error.in_full)


def client_address(request: Request) -> str:
    return names.shown_address(request.client.host) if request.client else ""


def _as_json(data: dict[str, Any], message: str | None) -> Response:
    return JSONResponse({"message": message, "type": None, "success": True, "data": data})


def _as_plain(data: dict[str, Any], message: str | None) -> Response:
    lines = {"code": data["code"], **data}
    return PlainTextResponse(
        "".join(f"{name}:{'' if value is None else value}\n" for name, value in lines.items())
    )
