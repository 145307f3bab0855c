"""The check-in: an agent asks for the latest level. The one hot path, in front of the router.

``[/<feed>]/<target>/latest.v1`` (or ``.v2``) is answered from memory with a few digits, and what
the request tells is queued for the writer. It is a plain ASGI function: a middleware built on
BaseHTTPMiddleware would cost more than the whole answer (docs/performance.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eportal_core.agent.access import allowed, credentials
from eportal_core.agent.facts import QUERY_MAX_BYTES
from eportal_core.agent.memory import Memory
from eportal_core.agent.writer import Raw
from eportal_core.errors import AccessRefused, DatabaseError
from eportal_core.models import MAIN
from eportal_core.web.errors import BASIC

_CHALLENGE = [(name.lower().encode(), value.encode()) for name, value in BASIC.items()]
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
        try:
            if entry is None:
                entry = await run_in_threadpool(self._memory.find, server)
            entry = allowed(entry, self._product)
        except (AccessRefused, DatabaseError) as error:
            await send_text(send, error.status, str(error))
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


async def send_text(send: Send, status: int, sentence: str) -> None:
    body = f"{sentence}\n".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    if status == 401:
        headers += _CHALLENGE
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
