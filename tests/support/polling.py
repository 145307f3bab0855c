"""Waiting for what other threads and processes do: as long as needed, and no longer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PERIOD = 0.01


def eventually(ask: Callable[[], T], seconds: float = 10.0) -> T:
    """What ``ask`` returns once that is true; fails when ``seconds`` have passed before."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still {answer!r} after {seconds} seconds")
        time.sleep(_PERIOD)
    return answer
