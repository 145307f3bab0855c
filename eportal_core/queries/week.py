"""What is new: patchsets that came, or were enabled in a feed, since some moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from eportal_core import db
from eportal_core.models import ENABLED, FeedPatchset, Patchset
from eportal_core.portal import Portal
from eportal_core.types import Product


@dataclass(frozen=True)
class NewPatchset:
    """A patchset; ``appeared`` is None when it was here before. feeds: where it was enabled."""

    name: str
    appeared: datetime | None
    feeds: tuple[str, ...]


def new_patchsets(portal: Portal, since: datetime) -> list[tuple[Product, list[NewPatchset]]]:
    """Of each product that has any, the newest first."""
    lately = (FeedPatchset.state == ENABLED) & (FeedPatchset.since >= since)
    feeds: dict[str, list[str]] = {}
    enabled = FeedPatchset.select(FeedPatchset.patchset, FeedPatchset.feed).where(lately)
    for patchset, feed in db.rows(enabled.order_by(FeedPatchset.feed)):
        feeds.setdefault(patchset, []).append(feed)
    rows = (
        Patchset.select(Patchset.id, Patchset.product, Patchset.name, Patchset.appeared)
        .where(
            (Patchset.appeared >= since)
            | Patchset.id.in_(FeedPatchset.select(FeedPatchset.patchset).where(lately))
        )
        .order_by(Patchset.position.desc(), Patchset.name.desc())
    )
    found: dict[str, list[NewPatchset]] = {}
    for patchset, product, name, appeared in db.rows(rows):
        new = NewPatchset(
            name, appeared if appeared >= since else None, tuple(feeds.get(patchset, ()))
        )
        found.setdefault(product, []).append(new)
    return [(each, found[name]) for name, each in portal.products.items() if name in found]
