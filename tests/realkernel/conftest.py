"""The world of the proof: a kernel from the cache, and a portal of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from .kernel import Kernel, obtain
from .portal import Portal


@pytest.fixture(scope="session")
def kernel() -> Kernel:
    return obtain()


@pytest.fixture
def portal(tmp_path: Path) -> Portal:
    return Portal(tmp_path)
