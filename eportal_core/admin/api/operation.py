"""A call of the HTTP API as a value: what it takes and returns, and who may make it.

Arguments come from path, query, form or JSON, whichever the client likes, into a msgspec struct;
what is returned is a struct too. The OpenAPI document is made of the same values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message

from eportal_core import db
from eportal_core.admin.access import address_of, caller_of
from eportal_core.admin.api.arguments import arguments_of
from eportal_core.errors import AccessDenied, Forbidden, TooLarge
from eportal_core.models import Actor, acting
from eportal_core.portal import Portal
from eportal_core.types import Caller
from eportal_core.web.arguments import read_values

#: No call has more to say, bytes.
BODY_MAX_BYTES = 1024 * 1024


class Access(Enum):
    """Who may call."""

    ANYBODY = "anybody"
    READER = "every user"
    OWN = "every user, for what is theirs, and by no API key"
    ADMIN = "users who are not readonly"


class NoArguments(msgspec.Struct, frozen=True):
    """Of a call that takes none."""


@dataclass(frozen=True)
class Call:
    """One call; ``caller`` is None only where anybody may call."""

    portal: Portal
    request: Request
    caller: Caller | None

    @property
    def user(self) -> Caller:
        assert self.caller is not None, "the operation lets anybody in"
        return self.caller

    def check_product(self, product: str) -> None:
        """Raises: Forbidden: the API key is not for this product."""
        if self.caller and self.caller.products is not None and product not in self.caller.products:
            raise Forbidden(f"This API key is not for {product}.")

    def may_have_feed(self, feed: str) -> bool:
        """Whether whoever calls may see and change this feed, its keys and servers."""
        return not self.caller or self.caller.feeds is None or feed in self.caller.feeds

    def check_feed(self, feed: str) -> None:
        """Raises: Forbidden: the API key is not for this feed."""
        if not self.may_have_feed(feed):
            raise Forbidden(f"This API key is not for the feed {feed}.")


@dataclass(frozen=True)
class Operation:
    """``METHOD path`` and the function that answers it.

    path: as Starlette has it, without a slash at the end; it is answered with one, too.
    function: ``f(call: Call, arguments: Struct) -> Struct`` or a Response; its docstring is the
    documentation. Called in a thread, on a database connection; changes are recorded as the
    caller's. limited: an API key for some products or feeds may call it; it checks them itself, by
    the methods of ``Call``. all_products: it concerns all of them, so that a key for some may not.
    """

    method: str
    path: str
    access: Access
    function: Callable[[Call, Any], Any]
    limited: bool = False
    all_products: bool = False

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def takes(self) -> type[msgspec.Struct]:
        takes: type[msgspec.Struct] = get_type_hints(self.function)["arguments"]
        return takes

    @property
    def returns(self) -> list[type[msgspec.Struct]]:
        """The structs that it may return; none when it returns a Response alone."""
        hint = get_type_hints(self.function)["return"]
        parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else [hint]
        return [part for part in parts if issubclass(part, msgspec.Struct)]


def operation_routes(portal: Portal, operations: Sequence[Operation]) -> list[Route]:
    """The routes that answer ``operations``, each path with and without a slash at its end."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    return [
        Route(form, _endpoint(portal, methods), methods=list(methods))
        for path, methods in by_path.items()
        for form in (path, f"{path}/")
    ]


def _endpoint(portal: Portal, operations: Mapping[str, Operation]) -> Callable[[Request], Any]:
    """operations: by their methods."""
    takes = {method: operation.takes for method, operation in operations.items()}

    async def endpoint(request: Request) -> Response:
        values = await read_values(_bounded(request))
        for name, value in request.path_params.items():
            values[name] = [value]
        return await run_in_threadpool(work, request, values)

    def work(request: Request, values: Mapping[str, Sequence[Any]]) -> Response:
        # Starlette answers HEAD where GET is.
        method = "GET" if request.method == "HEAD" else request.method
        operation = operations[method]
        with db.connection():
            caller = None if operation.access is Access.ANYBODY else caller_of(portal, request)
            _check(operation, caller)
            arguments = arguments_of(takes[method], values)
            with acting(_actor(request, caller)):
                answer = operation.function(Call(portal, request, caller), arguments)
        if isinstance(answer, Response):
            return answer
        return Response(msgspec.json.encode(answer), media_type="application/json")

    return endpoint


def _actor(request: Request, caller: Caller | None) -> Actor:
    address = address_of(request)
    return Actor(caller.username, address, caller.means) if caller else Actor("anybody", address)


def _bounded(request: Request) -> Request:
    """The request with a body that ends at ``BODY_MAX_BYTES``, or with an error."""
    received = 0

    async def receive() -> Message:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > BODY_MAX_BYTES:
            raise TooLarge(f"The body of the request is larger than {BODY_MAX_BYTES} bytes.")
        return message

    return Request(request.scope, receive)


def _check(operation: Operation, caller: Caller | None) -> None:
    if operation.access is Access.ANYBODY:
        return
    if caller is None:
        raise AccessDenied("This is for users: log in, or send a password or an API key.")
    by_key = caller.means.startswith("API key")
    if operation.access is Access.OWN and by_key:
        raise Forbidden("No API key may do this: log in, or send a password.")
    if operation.access is Access.ADMIN and caller.readonly:
        raise Forbidden(
            "This API key may not change anything."
            if by_key
            else "A readonly user may not do this."
        )
    if caller.is_limited and not operation.limited:
        raise Forbidden("An API key for some products or feeds may not do this.")
    if caller.products is not None and operation.all_products:
        raise Forbidden("An API key for some products may not do this.")
