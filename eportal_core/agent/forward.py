"""Passes requests for the admin side on to its process, for portals without a web server in front.

nginx does this in production; here it makes one address out of two processes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from http.cookiejar import CookieJar, DefaultCookiePolicy

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
#: Headers of a request that concern its own body and answer, and not another one made for it.
_OF_ITS_OWN_ANSWER = frozenset({b"content-length", b"accept-encoding", b"range", b"expect"})
#: Headers that go along with an answer whose body is used.
_ANSWERED = ("content-type", "www-authenticate", "retry-after")
#: A cookie is one browser's; kept here, it would go along with the requests of all others.
_NO_COOKIES = DefaultCookiePolicy(allowed_domains=())


class ForwardAdmin:
    """Sends what it gets to ``address``, ``http://host:port``."""

    def __init__(self, address: str) -> None:
        self._address = httpx2.URL(address)
        # Nothing is encrypted here; not to verify saves loading the system's certificates.
        self._client = httpx2.AsyncClient(
            timeout=None, trust_env=False, verify=False, cookies=CookieJar(_NO_COOKIES)
        )
        # What the client library would say of itself, a browser did not.
        self._client.headers.clear()

    async def close(self) -> None:
        """End the connections to the admin side."""
        await self._client.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._forward(Request(scope, receive))
        await answer(scope, receive, send)

    async def ask(self, request: Request, path: str) -> Response:
        """The whole answer to a GET of ``path`` by whoever sent ``request``."""
        headers = [each for each in _told(request) if each[0] not in _OF_ITS_OWN_ANSWER]
        try:
            answer = await self._client.get(self._address.join(path), headers=headers)
        except httpx2.LocalProtocolError:
            return _not_http()
        except httpx2.TransportError:
            return _not_running()
        told = {name: answer.headers[name] for name in _ANSWERED if name in answer.headers}
        return Response(answer.content, answer.status_code, told)

    async def _forward(self, request: Request) -> Response:
        headers = _told(request)
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
        except httpx2.LocalProtocolError:
            return _not_http()
        except httpx2.TransportError:
            return _not_running()


def _told(request: Request) -> list[tuple[bytes, bytes]]:
    """The headers of ``request`` for the admin side, which learns from them who sent it."""
    client = request.client.host if request.client else ""
    return [
        *(
            # The parser leaves the blanks that belong to no value. Source: RFC 9112, 5.1.
            (name, value.strip(b" \t"))
            for name, value in request.headers.raw
            if name not in _HOP_BY_HOP and name not in _REPLACED
        ),
        (b"x-forwarded-for", client.encode()),
        (b"x-forwarded-proto", request.url.scheme.encode()),
    ]


def _not_running() -> Response:
    return PlainTextResponse("The admin side is not running.\n", 503)


def _not_http() -> Response:
    return PlainTextResponse("The request is no HTTP that can be passed on.\n", 400)


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
