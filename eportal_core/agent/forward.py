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
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class ForwardAdmin:
    """Sends what it gets to ``address``.

    The agents' own paths below ``/admin/api`` never come here: their routes stand before this.
    """

    def __init__(self, address: str) -> None:
        self._client = httpx2.AsyncClient(base_url=address, timeout=None, trust_env=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self._forward(Request(scope, receive)))(scope, receive, send)

    async def _forward(self, request: Request) -> Response:
        headers = [(n, v) for n, v in request.headers.items() if n not in _HOP_BY_HOP]
        client = request.client.host if request.client else ""
        headers += [("x-forwarded-for", client), ("x-forwarded-proto", request.url.scheme)]
        target = self._client.build_request(
            request.method,
            httpx2.URL(path=request.url.path, query=request.url.query.encode()),
            headers=headers,
            content=request.stream(),
        )
        try:
            answer = await self._client.send(target, stream=True)
        except httpx2.TransportError:
            return PlainTextResponse("The admin side is not running.\n", 503)
        return _Relayed(answer)


class _Relayed(StreamingResponse):
    """The admin side's answer, byte for byte and header for header."""

    def __init__(self, answer: httpx2.Response) -> None:
        super().__init__(self._body(answer), answer.status_code)
        self.raw_headers = [
            (name.lower(), value)
            for name, value in answer.headers.raw
            if name.lower().decode("latin-1") not in _HOP_BY_HOP
        ]

    @staticmethod
    async def _body(answer: httpx2.Response) -> AsyncIterator[bytes]:
        try:
            async for chunk in answer.aiter_raw():
                yield chunk
        finally:
            await answer.aclose()
