"""The check-in: an agent asks for the latest level. The one hot path, in front of the router.

``[/<feed>]/<target>/latest.v1`` (or ``.v2``) is answered from memory with a few digits, and what
the request tells is queued for the writer. It is a plain ASGI function: a middleware built on
BaseHTTPMiddleware would cost more than the whole answer (docs/performance.md).
"""

from __future__ import annotations

import time
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eportal_core.agent.facts import QUERY_MAX_BYTES
from eportal_core.agent.memory import KeyEntry, Memory
from eportal_core.agent.writer import Raw
from eportal_core.errors import DatabaseError
from eportal_core.models import MAIN

_REALM = (b"www-authenticate", b'Basic realm="ePortal"')
UNKNOWN = "This server id is not registered here."
DISABLED = "The key of this server is disabled."
_NO_PRODUCT = "The key of this server does not have this product."
_UNSUPPORTED = "There are no patches for this kernel."
_TOO_LONG = "The query is too long."


class CheckinApp:
    """Answers check-ins for ``product``; everything else goes to ``others``."""

    def __init__(
        self, memory: Memory, put: Callable[[Raw], object], product: str, others: ASGIApp
    ) -> None:
        self._memory = memory
        self._put = put
        self._product = product
        self._latest = memory.latest[product]
        self._others = others
        self._starts: dict[int, Message] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].endswith(("/latest.v1", "/latest.v2")):
            await self._others(scope, receive, send)
            return
        parts = scope["path"].split("/")
        if len(parts) not in (3, 4) or scope["method"] not in ("GET", "HEAD"):
            await self._others(scope, receive, send)
            return
        server = credentials(scope)
        if server is None:
            # Scanners ask without registering; they are told the level and not counted.
            await self._answer(send, self._level(parts, MAIN))
            return
        entry = self._memory.servers.get(server)
        if entry is None:
            try:
                await run_in_threadpool(self._memory.follow_after_miss)
            except DatabaseError as error:
                await send_text(send, error.status, str(error))
                return
            entry = self._memory.servers.get(server)
        refusal = refused(entry, self._product)
        if entry is None or refusal is not None:
            await send_text(send, *(refusal or (401, UNKNOWN)))
            return
        query = scope["query_string"]
        if len(query) > QUERY_MAX_BYTES:
            await send_text(send, 414, _TOO_LONG)
            return
        if scope["method"] == "GET":
            client = scope["client"]
            ip = client[0] if client else ""
            self._put(Raw(server, time.time(), ip, parts[-2], query))
        await self._answer(send, self._level(parts, entry.feed))

    def _level(self, parts: list[str], feed: str) -> bytes | None:
        if len(parts) == 4:
            feed = parts[1]
        answers = self._latest.get(feed)
        return None if answers is None else answers.get(parts[-2])

    async def _answer(self, send: Send, level: bytes | None) -> None:
        if level is None:
            await send_text(send, 404, _UNSUPPORTED)
            return
        start = self._starts.get(len(level))
        if start is None:
            start = self._starts[len(level)] = {
                "type": "http.response.start",
                "status": 200,
                "headers": [
                    (b"content-type", b"text/plain"),
                    (b"content-length", b"%d" % len(level)),
                ],
            }
        await send(start)
        await send({"type": "http.response.body", "body": level})


def credentials(scope: Scope) -> bytes | None:
    """The user name of HTTP Basic auth, which is the server id; None without any.

    What cannot be decoded is a user name that nobody has: the empty one.
    """
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, token = value.partition(b" ")
            if scheme.lower() != b"basic":
                return b""
            try:
                return a2b_base64(token).partition(b":")[0]
            except Base64Error:
                return b""
    return None


def refused(entry: KeyEntry | None, product: str) -> tuple[int, str] | None:
    """Status and sentence for a server that may not have ``product``; None if it may."""
    if entry is None:
        return 401, UNKNOWN
    if not entry.enabled:
        return 403, DISABLED
    if product not in entry.products:
        return 403, _NO_PRODUCT
    return None


async def send_text(send: Send, status: int, sentence: str) -> None:
    body = f"{sentence}\n".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    if status == 401:
        headers.append(_REALM)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
