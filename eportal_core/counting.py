"""Numbers of things, in words."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """``1 server``, ``2 servers``. many: where it is more than ``one`` with an s."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"
