"""The state of patchsets in a feed: read, set and told; what may be changed, others decide."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence, Set

from eportal_core.models import UNDEPLOYED, FeedPatchset, Patchset, now, of_product
from eportal_core.portal import Portal
from eportal_core.types import Event

log = logging.getLogger("eportal.patches")


def states_in(product: str, feed: str) -> dict[str, FeedPatchset]:
    """The states of the product's patchsets in ``feed``, by patchset; what has none is not here."""
    rows = FeedPatchset.select().where(
        FeedPatchset.feed == feed, of_product(FeedPatchset.patchset, product)
    )
    return {row.patchset_id: row for row in rows}


def set_state(
    patchsets: Sequence[Patchset], feed: str, state: str, rows: Mapping[str, FeedPatchset]
) -> set[str]:
    """Returns the ids of those whose state is another now; ``rows`` are those of before.

    The caller holds the transaction.
    """
    changed = others(patchsets, state, rows)
    for patchset in changed:
        row = rows.get(patchset.id)
        if row is None:
            FeedPatchset.new(feed=feed, patchset=patchset, state=state)
        elif state == UNDEPLOYED:
            row.drop()
        else:
            row.state, row.since = state, now()
            row.put()
    return {patchset.id for patchset in changed}


def others(
    patchsets: Sequence[Patchset], state: str, rows: Mapping[str, FeedPatchset]
) -> list[Patchset]:
    """Those whose state is not ``state``; ``rows`` are all states, by patchset."""
    return [
        patchset
        for patchset in patchsets
        if state != (rows[patchset.id].state if patchset.id in rows else UNDEPLOYED)
    ]


def tell(
    portal: Portal, changed: Set[str], patchsets: Sequence[Patchset], feed: str, state: str
) -> None:
    """Log and announce what was committed: which of ``patchsets`` were ``changed`` to ``state``."""
    preposition = "from" if state == UNDEPLOYED else "in"
    for patchset in patchsets:
        if patchset.id in changed:
            log.info("%s was %s %s %s", patchset.name, state, preposition, feed)
            portal.announce(Event(f"patchset.{state}", patchset.id, feed))
        else:
            log.info("%s is already %s %s %s", patchset.name, state, preposition, feed)
