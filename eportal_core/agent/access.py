"""Who asks for a product's files, and which feed they get."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request

from eportal_core.agent.checkin import credentials, refused
from eportal_core.agent.memory import Memory
from eportal_core.models import MAIN

#: Goes with every 401.
BASIC = {"WWW-Authenticate": 'Basic realm="ePortal"'}


def memory_of(request: Request) -> Memory:
    memory: Memory = request.app.state.memory
    return memory


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
        entry = memory.servers.get(server or b"")
        if entry is None:
            memory.follow_after_miss()
            entry = memory.servers.get(server or b"")
        refusal = refused(entry, product)
        if entry is None or refusal is not None:
            status, sentence = refusal or (401, "")
            raise HTTPException(status, sentence, BASIC if status == 401 else None)
        feed = entry.feed
    prefix: str | None = request.path_params.get("feed")
    if prefix is not None and prefix not in memory.latest[product]:
        raise HTTPException(404, "There is no such feed.")
    return prefix or feed
