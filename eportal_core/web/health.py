"""``/healthz`` and ``/readyz``: is the process alive, can it serve. Anybody may ask."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from eportal_core import db
from eportal_core.errors import DatabaseError


def health_routes(problem: Callable[[], str]) -> list[Route]:
    """``problem`` tells what keeps the process from serving, empty when nothing does."""

    # Needs no thread: it answers when all of them wait for the database.
    async def alive(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    def ready(request: Request) -> Response:
        found = problem() or _database_problem()
        return PlainTextResponse(f"{found or 'ok'}\n", 503 if found else 200)

    return [Route("/healthz", alive), Route("/readyz", ready)]


def _database_problem() -> str:
    try:
        with db.connection():
            db.fetch("SELECT 1")
    except DatabaseError as error:
        return str(error)
    return ""
