"""A portal in this process that passes a given upstream through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.testclient import TestClient

from eportal_core import db
from eportal_core.agent.app import agent_app
from tests.support.opening import opened


@contextmanager
def passing(data_dir: Path, **settings: object) -> Iterator[TestClient]:
    """Its agent side; ``settings`` as ``AGENT_REPO_URL``."""
    app = agent_app(opened(data_dir, **settings))
    try:
        with TestClient(app, raise_server_exceptions=False) as client:
            yield client
    finally:
        db.close()
