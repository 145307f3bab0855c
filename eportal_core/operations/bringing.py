"""Bring patchsets here from the patch source, in no feed, so that they can be managed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from eportal_core.counting import counted
from eportal_core.errors import NotFound
from eportal_core.models import AVAILABLE, BLOCKED, Feed, Offer, Patchset
from eportal_core.operations import offers, updates
from eportal_core.operations.names import is_plain, told
from eportal_core.portal import Portal
from eportal_core.types import Product

if TYPE_CHECKING:
    from eportal_core.source import layout


def to_bring(portal: Portal, product: Product, name: str, feeds: Collection[str]) -> list[Offer]:
    """What is not here of ``name``, and of older ones that an update of ``feeds`` would bring.

    Oldest first. Of the older ones, those that the source has blocked or disabled are left out, as
    are those of other distributions (``PATCH_SOURCE_DISTROS``).

    Raises:
        NotFound: there is no such patchset, here or at the source.
    """
    if not is_plain(name):
        raise NotFound(f"There is no {product.title} patchset {told(name)}.")
    key = Patchset.key(product.name, name)
    patchset = Patchset.get_or_none(id=key)
    may_come = offers.to_come(portal)
    offer = Offer.get_or_none(Offer.id == key, Offer.listed) if may_come else None
    named = patchset or offer
    if named is None:
        raise NotFound(
            f"There is no {product.title} patchset {told(name)} here, and the patch source does "
            f"not list it."
        )
    chosen = list(Feed.select().where(Feed.name.in_(list(feeds)))) if feeds and may_come else []
    wanted = {
        row.id: row
        for row in offers.fresh(portal, product, chosen)
        if row.state == AVAILABLE and row.position <= named.position
    }
    if patchset is None and offer is not None and offer.state != BLOCKED:
        wanted[key] = offer
    return sorted(wanted.values(), key=lambda row: (row.position, row.name))


def bring(portal: Portal, product: Product, names: Sequence[str]) -> str:
    """Fetch these patchsets, or in cache mode their manifests, as the source has them now.

    Says what was done.

    Raises:
        NoSource, Conflict, UpstreamError: as from ``updates.update``.
        NotFound: the source does not list one of them any more.
        PortalError: one or more could not be had; all the others are here.
    """
    with updates.opened(portal) as source:
        listed = updates.refresh(portal, source)
        fetched = updates.fetch(portal, source, [_listed(listed, product, each) for each in names])
    fetched.check()
    return f"{counted(len(fetched.came), 'patchset')} of {product.title} came."


def _listed(listed: dict[str, layout.Offer], product: Product, name: str) -> layout.Offer:
    found = listed.get(Patchset.key(product.name, name))
    if found is None:
        raise NotFound(f"The patch source does not list {name} any more.")
    return found
