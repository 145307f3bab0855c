"""How servers are patched and which of them are silent, as pages show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eportal_core import db
from eportal_core.models import now, shown
from eportal_core.operations import latest
from eportal_core.portal import Portal
from eportal_core.queries.listings import ACTIVE_FOR
from eportal_core.queries.server_rows import ServerShown
from eportal_core.queries.states import state_of

#: A feed and a kernel id.
_Pair = tuple[str | None, str | None]


@dataclass(frozen=True)
class Standing:
    """state: one of ``STATES``. behind: enabled levels above its own, 20 at most."""

    state: str
    behind: int


def standings(portal: Portal, rows: Sequence[ServerShown]) -> list[Standing]:
    """How each of ``rows`` is patched, in their order."""
    latest.refresh(portal)
    levels = _levels({(row.feed, row.kernel_id) for row in rows})
    since = shown(now() - ACTIVE_FOR) or ""
    return [
        _standing(levels.get((row.feed, row.kernel_id)), row.patch_level, row.checkin or "", since)
        for row in rows
    ]


def distros() -> list[str]:
    """What servers reported as their distribution, in order."""
    rows = db.fetch("SELECT DISTINCT distro FROM fleet WHERE distro <> '' ORDER BY distro")
    return [name for (name,) in rows]


def key_names(most: int) -> list[str]:
    """The first ``most`` keys, in order."""
    return [key for (key,) in db.fetch("SELECT key FROM key ORDER BY key LIMIT ?", (most,))]


def _levels(wanted: set[_Pair]) -> dict[_Pair, list[int]]:
    pairs = [(feed, target) for feed, target in wanted if feed and target]
    found: dict[_Pair, list[int]] = {}
    if pairs:
        marks = ", ".join(["(?, ?)"] * len(pairs))
        rows = db.fetch(
            "SELECT feed, target, level FROM latest_level"
            f" WHERE (feed, target) IN (VALUES {marks})",
            [value for pair in pairs for value in pair],
        )
        for feed, target, level in rows:
            found.setdefault((feed, target), []).append(level)
    return found


def _standing(levels: list[int] | None, level: int | None, checkin: str, since: str) -> Standing:
    runs = -1 if level is None else level
    behind = None if levels is None else sum(each > runs for each in levels)
    return Standing(state_of(behind, checkin >= since), behind or 0)
