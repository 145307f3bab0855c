"""The world of the proof, beside the portal that all tests know: a kernel from the cache."""

from __future__ import annotations

import pytest

from .kernel import Kernel, obtain


@pytest.fixture(scope="session")
def kernel() -> Kernel:
    return obtain()
