"""Make something or change it, whichever it needs, while others do the same."""

from __future__ import annotations

from collections.abc import Callable

from eportal_core.errors import Conflict, NotFound


def upsert(change: Callable[[], object], add: Callable[[], object]) -> None:
    """Change what is there, or add it; both raise what the operations of a thing raise."""
    try:
        change()
    except NotFound:
        try:
            add()
        except Conflict:
            # Somebody else was faster.
            change()
