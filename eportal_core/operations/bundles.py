"""Take what a bundle brings: as an update does, from a folder instead of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eportal_core import db
from eportal_core.errors import InvalidValue
from eportal_core.models import Feed, Patchset
from eportal_core.operations import feeds, offers, updates
from eportal_core.portal import Portal

if TYPE_CHECKING:
    from eportal_core.operations.fetching import Fetched
    from eportal_core.source import layout
    from eportal_core.source.bundle.parts import Parts


@dataclass(frozen=True)
class Applied:
    """What came of a bundle.

    enabled: how often a patchset was enabled in a feed. to_come: patchsets that this portal is to
    have and that were not in what it was given, by the part that has them; those of which nobody
    knows where they are, by ``""``.
    """

    fetched: Fetched
    enabled: int
    to_come: Mapping[str, Sequence[str]]


def apply(portal: Portal, named: Sequence[Path], feed: str | None = None) -> Applied:
    """Verify and publish what is in a bundle, or in some parts of one, and new for any feed.

    Then feeds that update by themselves get what is due there, and ``feed`` all that it may have.
    What cannot be had is in the answer, and the rest is done.

    Raises:
        NotFound: there is no such feed.
        InvalidValue: there is no such bundle, the parts are of more than one, or in cache mode.
        NoSource: no patch source is trusted.
        Conflict: the patch source is being read, or another bundle is applied.
        SourceRefused: the metadata is not what the publisher signed, or not fresh; nothing changed.
        UpstreamError: the bundle cannot be read.
        StorageError: the disk refused.
    """
    from eportal_core.operations.fetching import fetch
    from eportal_core.source.bundle import parts
    from eportal_core.source.bundle.reading import open_bundle

    if portal.config["CACHE_MODE"]:
        raise InvalidValue(
            "CACHE_MODE is on: it fetches patch files when agents ask for them, and then there is "
            "no bundle; set CACHE_MODE = False."
        )
    if feed is not None:
        feeds.get(feed)
    given = parts.opened(named)
    products = list(portal.products.values())
    with open_bundle(portal, given) as source:
        listed = updates.refresh(portal, source)
        here = {key for (key,) in db.rows(Patchset.select(Patchset.id))}
        wanted = [
            listed[row.id]
            for product in products
            for row in offers.wanted(portal, product, list(Feed.select()))
            if row.id not in here
        ]
        fetched = fetch(portal, source, [offer for offer in wanted if given.has(offer)])
        enabled = 0
        for product in products:
            if feed is not None:
                enabled += updates.enable(portal, product, feed, at_once=True)
            enabled += updates.enable_due(portal, product)
    missing = [offer for offer in wanted if not given.has(offer)]
    return Applied(fetched, enabled, _to_come(given, missing))


def enable_due(portal: Portal) -> str:
    """Enable what was carried here and has waited as long as its feed does; says how much.

    For a portal that has no source to ask before it enables something.
    """
    count = sum(updates.enable_due(portal, product) for product in portal.products.values())
    return f"{count} times a patchset was enabled" if count else ""


def _to_come(given: Parts, missing: Sequence[layout.Offer]) -> dict[str, list[str]]:
    """Where ``missing`` are, as the bundle says, which nobody signs."""
    from eportal_core.source.bundle import contents
    from eportal_core.source.bundle.parts import archive_of

    said = contents.read(given)
    places = {file.path: file.part for file in said.files} if said else {}
    found: dict[str, list[str]] = {}
    for offer in missing:
        found.setdefault(places.get(archive_of(offer), ""), []).append(offer.name)
    return dict(sorted(found.items()))
