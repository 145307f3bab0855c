"""Who asks for a product's files, and which feed they get."""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Scope

from eportal_core.agent.memory import KeyEntry, Memory
from eportal_core.errors import AccessRefused, ProductMissing, ServerLocked, UnknownServer
from eportal_core.models import MAIN
from eportal_core.web.errors import BASIC


def memory_of(request: Request) -> Memory:
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


def allowed(entry: KeyEntry | None, product: str) -> KeyEntry:
    """``entry``, when a server with it may have ``product``.

    Raises:
        AccessRefused: the server is not registered, its key is disabled, or has not the product.
    """
    if entry is None:
        raise UnknownServer
    if not entry.enabled:
        raise ServerLocked
    if product not in entry.products:
        raise ProductMissing
    return entry


def admit(request: Request, product: str, *, anonymous: bool = False) -> str:
    """The feed of the registered server that asks, or the one its path begins with.

    anonymous: those who send no credentials are served too, from ``main``.

    Raises:
        HTTPException: 401 without a registered id, 403 when the key is disabled or has not
            ``product``, 404 when the path names a feed that does not exist.
    """
    memory = memory_of(request)
    server = credentials(request.scope)
    feed = MAIN
    if server is not None or not anonymous:
        try:
            feed = allowed(memory.find(server or b""), product).feed
        except AccessRefused as error:
            headers = BASIC if error.status == 401 else None
            raise HTTPException(error.status, str(error), headers) from None
    prefix: str | None = request.path_params.get("feed")
    if prefix is not None and prefix not in memory.latest[product]:
        raise HTTPException(404, "There is no such feed.")
    return prefix or feed
