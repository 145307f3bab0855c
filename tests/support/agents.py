"""What an agent sends, and what the portal knows of it afterwards."""

from __future__ import annotations

import base64
import json
from typing import Any, Protocol

from starlette.testclient import TestClient

from eportal_core import queries
from tests.support.patches import WEB
from tests.support.polling import eventually


class Answer(Protocol):
    """What the tests need of a response, whoever's it is."""

    status_code: int
    text: str


def basic(server: str) -> dict[str, str]:
    """HTTP Basic auth of a server; the password means nothing."""
    token = base64.b64encode(f"{server}:any".encode()).decode()
    return {"Authorization": f"Basic {token}"}


def encoded(facts: object) -> str:
    """Facts as the ``info`` argument has them: base64url of JSON, without padding."""
    return base64.urlsafe_b64encode(json.dumps(facts).encode()).decode().rstrip("=")


def register(agent: TestClient, key: str, hostname: str = "web1") -> str:
    """Register a server; returns its id."""
    answer = agent.post("/admin/api/register", data={"key": key, "hostname": hostname})
    assert answer.status_code == 200, answer.text
    server: str = answer.json()["server_id"]
    return server


def check_in(
    agent: TestClient, server: str, target: str = WEB, *, feed: str = "", **facts: object
) -> Answer:
    """Ask for the latest level, telling ``facts``."""
    path = f"/{feed}/{target}" if feed else f"/{target}"
    info = f"?info={encoded(facts)}" if facts else ""
    return agent.get(f"{path}/latest.v1{info}", headers=basic(server))


def shown(server: str) -> dict[str, Any]:
    """The server as listings show it."""
    (row,) = [row for row in queries.servers() if row["id"] == server]
    return row


def stored(agent: TestClient, server: str, target: str = WEB, **facts: object) -> dict[str, Any]:
    """Check in, and wait until that is stored; returns what listings show then."""
    before = shown(server)["checkin"]
    check_in(agent, server, target, **facts)
    eventually(lambda: shown(server)["checkin"] != before)
    # Read again: a listing is several statements, and the last one may have been the first to see.
    return shown(server)
