"""The latest levels of each feed, as a table that lists join: made true when it is needed."""

from __future__ import annotations

from eportal_core import db
from eportal_core.models import ENABLED, Fleet, LatestLevel, Patchset, StaleFeed
from eportal_core.portal import Portal


def checkin_product(portal: Portal) -> str | None:
    """The product whose agents check in, and so tell their level; None when there is none."""
    return next((each.name for each in portal.products.values() if each.checkin), None)


def refresh(portal: Portal) -> None:
    """Compute the latest levels of feeds that changed; when none did, this costs one look.

    A change marks its feed in its own transaction, so that nothing can be missed.
    """
    if not db.fetch("SELECT 1 FROM stale_feed LIMIT 1"):
        return
    product = checkin_product(portal)
    with db.database.atomic():
        for stale in list(StaleFeed.select()):
            LatestLevel.delete().where(LatestLevel.feed == stale.feed).execute()
            if product is not None:
                _compute(product, stale.feed)
        StaleFeed.delete().execute()
        # Levels that nobody runs any more: what leaves a group is asked to be quick.
        Fleet.delete().where(Fleet.servers == 0).execute()


def _compute(product: str, feed: str) -> None:
    """Rank the levels of each target from the highest down, and keep the first ones."""
    db.execute(
        "INSERT INTO latest_level (feed, target, rank, level) "
        "SELECT ?, target, place - 1, level FROM ("
        " SELECT target, level,"
        "  row_number() OVER (PARTITION BY target ORDER BY level DESC) AS place"
        " FROM (SELECT DISTINCT l.target, l.level FROM feed_patchset AS p"
        "  JOIN level AS l ON l.patchset = p.patchset"
        "  WHERE p.feed = ? AND p.state = ? AND p.patchset >= ? AND p.patchset < ?) AS known"
        ") AS ranked WHERE place <= ?",
        (feed, feed, ENABLED, Patchset.key(product, ""), f"{product}0", LatestLevel.RANKS),
    )
