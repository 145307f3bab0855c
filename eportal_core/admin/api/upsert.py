"""Make something or change it, or remove it, whether it is there or not: others do the same."""

from __future__ import annotations

from collections.abc import Callable

from eportal_core.admin.api.shapes import Deleted
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


def delete(remove: Callable[[], object]) -> Deleted:
    """Remove what is there, or nothing when ``remove`` does not find it."""
    try:
        remove()
    except NotFound:
        return Deleted(0)
    return Deleted(1)
