"""The agent process as an ASGI application, for a server that is not uvicorn."""

from __future__ import annotations

import os

from starlette.types import ASGIApp

from eportal_core.agent.app import agent_app
from eportal_core.commands.session import Session
from eportal_core.plugins import load


def create() -> ASGIApp:
    """Configured by the environment, as ``kc.eportal serve --only agent`` is."""
    return agent_app(Session(load(), os.environ).portal)
