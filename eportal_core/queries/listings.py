"""Listings of feeds, keys and patchsets, and which servers share an id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import peewee

from eportal_core import db
from eportal_core.models import (
    BLOCKED,
    MAIN,
    UNDEPLOYED,
    Feed,
    FeedPatchset,
    Fleet,
    Identity,
    Key,
    Offer,
    Patchset,
    now,
    shown,
)
from eportal_core.operations.coming import coming
from eportal_core.operations.feeds import get as feed_of
from eportal_core.operations.keys import get as key_of
from eportal_core.operations.keys import products_of
from eportal_core.operations.offers import to_come as may_come
from eportal_core.portal import Portal
from eportal_core.types import Product

#: States of patchsets that are not here, beside ``BLOCKED``: it is being downloaded, the source
#: lists it, or it is not to be had.
DOWNLOADING = "downloading"
NOT_DOWNLOADED = "not-downloaded"
UNAVAILABLE = "unavailable"
#: A server that checked in this lately is active; documented as 48 hours.
ACTIVE_FOR = timedelta(hours=48)


def servers_by_key() -> list[tuple[int, str]]:
    """Number of servers and key, for every key."""
    servers = peewee.fn.COALESCE(peewee.fn.SUM(Fleet.servers), 0)
    counted = (
        Key.select(servers, Key.key)
        .join(Fleet, peewee.JOIN.LEFT_OUTER, on=(Fleet.key == Key.key))
        .group_by(Key.key)
        .order_by(Key.created, Key.key)
    )
    return [(count, key) for count, key in db.rows(counted)]


def feeds(name: str | None = None) -> list[dict[str, Any]]:
    """Feeds in the shape of the HTTP API, ``main`` first; with ``name``, that one.

    Raises:
        NotFound: there is no feed of this name.
    """
    ordered = Feed.select().order_by(Feed.name != MAIN, Feed.name)
    rows = list(ordered) if name is None else [feed_of(name)]
    return [
        {
            "name": feed.name,
            "auto": feed.auto,
            "deploy_after": feed.deploy_after,
            "channel": feed.channel,
        }
        for feed in rows
    ]


def keys(portal: Portal, name: str | None = None) -> list[dict[str, Any]]:
    """Keys in the shape of the HTTP API, with the number of servers; with ``name``, that one.

    Raises:
        NotFound: there is no such key.
    """
    ordered = Key.select().order_by(Key.created, Key.key)
    rows = list(ordered) if name is None else [key_of(name)]
    counts = {key: count for count, key in servers_by_key()}
    return [
        {
            "key": key.key,
            "feed": key.feed_id,
            "note": key.note,
            "server_limit": key.server_limit,
            "products": products_of(portal, key),
            "enabled": key.enabled,
            # A key that was removed since it was read has none.
            "servers": counts.get(key.key, 0),
        }
        for key in rows
    ]


def patchsets(
    portal: Portal, product: Product, feed: str | None = None, *, unavailable: bool = False
) -> list[dict[str, Any]]:
    """Patchsets oldest first, with their state in each feed, or in ``feed`` alone.

    Those that may yet come from the patch source or a bundle are among them; with ``unavailable``
    those too that it listed once. ``status`` is the state in ``feed``, else in ``main``, as in the
    HTTP API. ``withdrawn``: it is here, and the source does not list it any more. ``size``: bytes
    of its content, or of its archive when it is not here.

    Raises:
        NotFound: there is no feed of this name.
    """
    names = [row["name"] for row in feeds(feed)]
    states: dict[str, dict[str, str]] = {}
    deployed = FeedPatchset.select(FeedPatchset.patchset, FeedPatchset.feed, FeedPatchset.state)
    for patchset, name, state in db.rows(deployed):
        states.setdefault(patchset, {})[name] = state
    # Before the patchsets: what came since is here, and not to come.
    downloading = coming(portal)
    offers = {row.id: row for row in Offer.select().where(Offer.product == product.name)}
    rows: list[Patchset | Offer] = list(Patchset.select().where(Patchset.product == product.name))
    here = {row.id for row in rows}
    to_come = {row.id for row in offers.values() if row.listed} if may_come(portal) else set()
    rows += [
        row for row in offers.values() if row.id not in here and (unavailable or row.id in to_come)
    ]

    def described(row: Patchset | Offer, shown_in: Mapping[str, str]) -> dict[str, Any]:
        offer = offers.get(row.id)
        return {
            "patchset": row.name,
            "status": shown_in[feed or MAIN],
            "released": row.released or None,
            "appeared": shown(row.appeared),
            "distros": row.distros,
            "channels": row.channels,
            "size": row.size,
            "withdrawn": row.id in here and offer is not None and not offer.listed,
            "feeds": shown_in,
        }

    def states_of(row: Patchset | Offer) -> dict[str, str]:
        offer = offers.get(row.id)
        if offer is not None and offer.state == BLOCKED:
            return dict.fromkeys(names, BLOCKED)
        if row.id not in here:
            absent = NOT_DOWNLOADED if row.id in to_come else UNAVAILABLE
            return dict.fromkeys(names, DOWNLOADING if row.id in downloading else absent)
        return {name: states.get(row.id, {}).get(name, UNDEPLOYED) for name in names}

    return [
        described(row, states_of(row))
        for row in sorted(rows, key=lambda row: (row.position, row.name))
    ]


def clones(among: Sequence[str] | None = None) -> dict[str, list[str]]:
    """Server id -> host names, for ids under which host names come in turns; ``among``: of these.

    A name that came back counts while more than one of them was seen lately.
    """
    lately: datetime = now() - ACTIVE_FOR
    suspects = (
        Identity.select(Identity.server)
        .group_by(Identity.server)
        .having(peewee.fn.SUM(Identity.returns) > 0)
    )
    if among is not None:
        suspects = suspects.where(Identity.server.in_(list(among)))
    names: dict[str, list[str]] = {}
    seen = (
        Identity.select(Identity.server, Identity.hostname)
        .where(Identity.server.in_(suspects), Identity.last_seen >= lately)
        .order_by(Identity.hostname)
    )
    for server, hostname in db.rows(seen):
        names.setdefault(server, []).append(hostname)
    return {server: found for server, found in names.items() if len(found) > 1}
