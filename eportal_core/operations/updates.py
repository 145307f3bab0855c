"""Bring to the feeds what the patch source lists: fetch it, wait as long as a feed does, enable it.

Whoever updates holds the source: one at a time, also across processes. Nothing is enabled unless
the source was asked just before, for it may have blocked something.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from eportal_core import db
from eportal_core.counting import counted
from eportal_core.errors import Conflict, NotFound
from eportal_core.models import AVAILABLE, ENABLED, MAIN, Feed, Offer, Patchset, now
from eportal_core.operations import feeds, offers, patchsets
from eportal_core.operations.states import set_state, states_in, tell
from eportal_core.portal import Portal
from eportal_core.types import Product

if TYPE_CHECKING:
    from eportal_core.operations.fetching import Fetched
    from eportal_core.source import layout
    from eportal_core.source.client import Source

log = logging.getLogger("eportal.patches")

#: Seconds to wait for another update, and between two looks whether it has ended.
PATIENCE = 30.0
_LOOK = 0.2


def update(portal: Portal, product: Product, feed: str = MAIN) -> None:
    """Fetch what is new for ``feed`` and enable it there at once.

    Raises:
        NotFound: there is no such feed.
        NoSource: no patch source is set.
        Conflict: another update is at work.
        UpstreamError: the source does not answer, or what it says is refused.
        PortalError: one or more patchsets could not be had; all the others are enabled.
    """
    chosen = feeds.get(feed)
    with opened(portal) as source:
        fetched = _fetch_new(portal, source, [product], [chosen])
        enabled = enable(portal, product, feed, at_once=True)
    if not enabled and not fetched.failed:
        log.info("There is nothing new of %s for %s", product.title, feed)
    fetched.check()


def auto_update(portal: Portal, product: Product) -> None:
    """Fetch what is new for the feeds that update by themselves, and enable there what is due.

    Raises:
        as ``update``.
    """
    with opened(portal) as source:
        automatic = _automatic()
        fetched = _fetch_new(portal, source, [product], automatic)
        enabled = enable_due(portal, product)
    if not automatic:
        log.info("No feed is updated automatically; kc.eportal feed -c NAME --auto makes it so")
    elif not enabled and not fetched.failed:
        log.info("There is nothing new of %s for %s", product.title, _names(automatic))
    fetched.check()


def update_all(portal: Portal) -> str:
    """Fetch what is new for any feed, and enable in automatic ones what is due; says what it did.

    Raises:
        as ``update``.
    """
    products = list(portal.products.values())
    with opened(portal) as source:
        fetched = _fetch_new(portal, source, products, list(Feed.select()))
        enabled = sum(enable_due(portal, product) for product in products)
    fetched.check()
    came = counted(len(fetched.came), "patchset was", "patchsets were")
    return f"{came} downloaded, enabled in feeds: {enabled}"


def refresh(portal: Portal, source: Source) -> dict[str, layout.Offer]:
    """What the source lists now, by patchset; the database knows it too, and what it blocks.

    Raises:
        UpstreamError: the source does not answer, or what it says is refused.
    """
    from eportal_core.source.bundle.reading import BundleSource

    found = source.refresh()
    offers.store(portal, found)
    offers.note_way(portal, carried=isinstance(source, BundleSource))
    return {Patchset.key(offer.product, offer.name): offer for offer in found}


def fetch(portal: Portal, source: Source, chosen: Sequence[layout.Offer]) -> Fetched:
    """Fetch and publish ``chosen``, in no feed; in cache mode, their manifests alone."""
    from eportal_core.operations import fetching, manifests

    bring = manifests.fetch_manifests if portal.config["CACHE_MODE"] else fetching.fetch
    return bring(portal, source, chosen)


@contextmanager
def opened(portal: Portal) -> Iterator[Source]:
    """The patch source, held by nobody else until the block ends.

    Raises:
        NoSource: no patch source is set.
        Conflict: another update is at work, and still is after ``PATIENCE`` seconds.
    """
    # Most commands do not ask the source, and what reads it takes long to load.
    from eportal_core.source.client import open_source

    deadline = time.monotonic() + PATIENCE
    source, silent = None, not sys.stderr.isatty()
    with ExitStack() as stack:
        while source is None:
            try:
                source = stack.enter_context(open_source(portal))
            except Conflict:
                if time.monotonic() >= deadline:
                    raise
                if not silent:
                    click.echo("Another update reads the patch source: waiting for it.", err=True)
                silent = True
                time.sleep(_LOOK)
        yield source


def _fetch_new(
    portal: Portal, source: Source, products: Sequence[Product], feeds: Collection[Feed]
) -> Fetched:
    listed = refresh(portal, source)
    fresh = [row for product in products for row in offers.fresh(portal, product, feeds)]
    return fetch(portal, source, [listed[row.id] for row in fresh])


def _automatic() -> list[Feed]:
    return list(Feed.select().where(Feed.auto).order_by(Feed.name))


def enable_due(portal: Portal, product: Product) -> int:
    """Returns how often one was enabled. Feeds are asked anew: fetching took its time."""
    count = 0
    for feed in _automatic():
        try:
            count += enable(portal, product, feed.name, at_once=False)
        except NotFound:
            log.info("Feed %s was removed meanwhile", feed.name)
    return count


def enable(portal: Portal, product: Product, name: str, *, at_once: bool) -> int:
    """Enable, oldest first, what the source has for the feed and nobody has decided about yet.

    at_once: what the feed would have to wait for too.
    """
    with db.database.atomic():
        feed = feeds.get(name)
        rows = states_in(product.name, name)
        fitting = {row.id: row for row in offers.fitting(product, feed) if row.state == AVAILABLE}
        chosen = [
            patchset
            for patchset in patchsets.all_of(product)
            if patchset.id not in rows
            and _is_of(patchset, fitting)
            and (at_once or _is_due(portal, feed, patchset, fitting[patchset.id]))
        ]
        changed = set_state(chosen, name, ENABLED, rows)
    tell(portal, changed, chosen, name, ENABLED)
    return len(chosen)


def _is_of(patchset: Patchset, fitting: Mapping[str, Offer]) -> bool:
    """Whether it is among them; one of the same name that somebody made himself is not."""
    offer = fitting.get(patchset.id)
    return bool(offer is not None and offer.sha256 == patchset.sha256)


def _is_due(portal: Portal, feed: Feed, patchset: Patchset, offer: Offer) -> bool:
    """Its hours count from when its archive came; by a setting, from when it was released."""
    since = patchset.appeared
    if portal.config["DEPLOY_AFTER_RELEASE"]:
        since = _moment(offer.released) or since
    return bool(now() - since >= timedelta(hours=feed.deploy_after))


def _moment(released: str) -> datetime | None:
    """An ISO 8601 date or time, in UTC unless it says otherwise; None for anything else."""
    try:
        moment = datetime.fromisoformat(released)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _names(chosen: Collection[Feed]) -> str:
    return ", ".join(feed.name for feed in chosen)
