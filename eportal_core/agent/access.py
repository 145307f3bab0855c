"""Who asks for a product's files, and which feed they get."""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Scope

from eportal_core.agent.memory import KeyEntry, Memory
from eportal_core.errors import AccessRefused, ProductMissing, ServerLocked, UnknownServer
from eportal_core.models import MAIN
from eportal_core.web.errors import BASIC


def memory_of(request: Request) -> Memory:
    """What the agent process knows by heart: feeds, keys, servers and latest levels."""
    memory: Memory = request.app.state.memory
    return memory


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


def allowed(entry: KeyEntry | None, *products: str) -> KeyEntry:
    """``entry``, when a server with it may have one of ``products``.

    Raises:
        AccessRefused: the server is not registered, its key is disabled, or has no such product.
    """
    if entry is None:
        raise UnknownServer
    if not entry.enabled:
        raise ServerLocked
    if entry.products.isdisjoint(products):
        raise ProductMissing
    return entry


def admit(request: Request, product: str, *, anonymous: bool = False) -> str:
    """The feed of the registered server that asks, or the one its path begins with: ``{feed}``.

    anonymous: those who send no credentials are served too, from ``main``.

    Raises:
        HTTPException: 401 without a registered id, 403 when the key is disabled or has not
            ``product``, 404 when the path names a feed that does not exist.
    """
    if anonymous and credentials(request.scope) is None:
        return _feed(request, MAIN)
    return _feed(request, _entry(request, [product]).feed)


def admit_to_any(request: Request, products: Sequence[str]) -> tuple[str, list[str]]:
    """As ``admit``, for whoever may have one of ``products``; with those that he may have."""
    entry = _entry(request, products)
    return _feed(request, entry.feed), [name for name in products if name in entry.products]


def _entry(request: Request, products: Sequence[str]) -> KeyEntry:
    server = credentials(request.scope) or b""
    try:
        return allowed(memory_of(request).find(server), *products)
    except AccessRefused as error:
        headers = BASIC if error.status == 401 else None
        raise HTTPException(error.status, str(error), headers) from None


def _feed(request: Request, own: str) -> str:
    """The feed that the path begins with, if it does, else ``own``."""
    prefix: str = request.path_params.get("feed", own)
    if prefix not in memory_of(request).feeds:
        raise HTTPException(404, "There is no such feed.")
    return prefix
