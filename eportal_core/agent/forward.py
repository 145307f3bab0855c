"""Passes requests for the admin side on to its process, for portals without a web server in front.

nginx does this in production; here it makes one address out of two processes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

#: Headers that belong to one connection. Source: RFC 9110, 7.6.1.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
#: What a client says of itself counts only when a trusted proxy says it; that is settled already.
_REPLACED = frozenset({b"x-forwarded-for", b"x-forwarded-proto"})


class ForwardAdmin:
    """Sends what it gets to ``address``, ``http://host:port``."""

    def __init__(self, address: str) -> None:
        self._address = httpx2.URL(address)
        # Nothing is encrypted here; not to verify saves loading the system's certificates.
        self._client = httpx2.AsyncClient(timeout=None, trust_env=False, verify=False)

    async def close(self) -> None:
        """End the connections to the admin side."""
        await self._client.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._forward(Request(scope, receive))
        await answer(scope, receive, send)

    async def _forward(self, request: Request) -> Response:
        client = request.client.host if request.client else ""
        headers = [
            (name, value)
            for name, value in request.headers.raw
            if name not in _HOP_BY_HOP and name not in _REPLACED
        ]
        headers += [
            (b"x-forwarded-for", client.encode()),
            (b"x-forwarded-proto", request.url.scheme.encode()),
        ]
        has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
        query: bytes = request.scope["query_string"]
        path: bytes = request.scope["raw_path"] + (b"?" + query if query else b"")
        outgoing = self._client.build_request(
            request.method,
            self._address,
            headers=headers,
            content=request.stream() if has_body else None,
            # As it came: a URL would be normalized, and ".." lead out of /admin.
            extensions={"target": path},
        )
        try:
            return _Relayed(await self._client.send(outgoing, stream=True))
        except httpx2.TransportError:
            return PlainTextResponse("The admin side is not running.\n", 503)


class _Relayed(StreamingResponse):
    """The admin side's answer, byte for byte and header for header."""

    def __init__(self, answer: httpx2.Response) -> None:
        super().__init__(self._body(answer), answer.status_code)
        self.raw_headers = [
            (name.lower(), value)
            for name, value in answer.headers.raw
            if name.lower() not in _HOP_BY_HOP and name.lower() != b"date"
        ]

    @staticmethod
    async def _body(answer: httpx2.Response) -> AsyncIterator[bytes]:
        try:
            async for chunk in answer.aiter_raw():
                yield chunk
        finally:
            await answer.aclose()
