"""Answers that several operations give."""

from __future__ import annotations

import msgspec


class Deleted(msgspec.Struct, frozen=True):
    """result: how many there were."""

    result: int


class Ok(msgspec.Struct, frozen=True):
    """result: ``ok``."""

    result: str = "ok"
