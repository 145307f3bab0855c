"""What a feed has of a product: for each target the latest level, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from eportal_core import db
from eportal_core.models import Level, Patchset, enabled_levels


@dataclass(frozen=True)
class LatestLevel:
    """The latest level for a target; ``appeared`` is when its patchset came here, UTC.

    name, distro: of the target, as far as its patchset tells.
    """

    target: str
    level: int
    name: str
    distro: str
    appeared: datetime


def latest_levels(product: str, feed: str) -> list[LatestLevel]:
    """One for each target that the feed has patches for, the oldest patchset's first."""
    with db.connection():
        rows = (
            enabled_levels(product, feed)
            .select(Level.target, Level.level, Level.name, Level.distro, Patchset.appeared)
            .join(Patchset, on=(Level.patchset == Patchset.id))
            .order_by(Patchset.position, Level.target)
        )
        latest: dict[str, LatestLevel] = {}
        for values in db.rows(rows):
            row = LatestLevel(*values)
            if row.target not in latest or latest[row.target].level <= row.level:
                # In the place of the newer patchset, too.
                latest.pop(row.target, None)
                latest[row.target] = row
    return list(latest.values())
