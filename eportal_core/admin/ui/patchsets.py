"""``/admin/patchsets/<command>``: what there is of a product, and what feeds have of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.responses import Response

from eportal_core import queries
from eportal_core.admin.api.operation import Access
from eportal_core.admin.ui.addresses import url
from eportal_core.admin.ui.choices import feed_names
from eportal_core.admin.ui.visit import View, Visit
from eportal_core.errors import NotFound
from eportal_core.models import BLOCKED, DISABLED, ENABLED, MAIN, UNDEPLOYED, Offer, Patchset
from eportal_core.operations import offers
from eportal_core.operations.names import is_plain, told
from eportal_core.portal import Portal
from eportal_core.queries import contents, usage
from eportal_core.queries.listings import DOWNLOADING, NOT_DOWNLOADED, UNAVAILABLE
from eportal_core.types import Product

PER_PAGE = 50
#: How states are called, and the colours of their badges.
STATES: Mapping[str, tuple[str, str]] = {
    ENABLED: ("Enabled", "green"),
    DISABLED: ("Disabled", "yellow"),
    BLOCKED: ("Blocked", "red"),
    UNDEPLOYED: ("Undeployed", "secondary"),
    NOT_DOWNLOADED: ("Not downloaded", "azure"),
    DOWNLOADING: ("Downloading", "blue"),
    UNAVAILABLE: ("Not available", "secondary"),
}
#: Enabled here, and the patch source does not list it any more.
WITHDRAWN = ("Enabled (!)", "yellow")
_USED, _UNUSED = "used", "unused"


class _Asked(msgspec.Struct, frozen=True):
    """The filters. usage: ``used`` or ``unused``, empty for all. page: from 1."""

    usage: str = ""
    distro: str = ""
    unavailable: bool = False
    page: int = 1


@dataclass(frozen=True)
class Cell:
    """A patchset in a feed; ``servers`` run it there."""

    feed: str
    text: str
    colour: str
    servers: int


def show(visit: Visit) -> Response:
    product = product_of(visit.portal, visit.text("command"))
    asked = visit.arguments(_Asked)
    listed = queries.patchsets(visit.portal, product, unavailable=asked.unavailable)[::-1]
    of_archives = product.name in visit.portal.stores()
    if not of_archives and not listed:
        return visit.page("patchsets_none.html", title=product.title, product=product)
    running = usage.running() if product.checkin else {}
    rows = [row for row in listed if _is_wanted(product, row, asked, running)]
    pages = max(1, -(-len(rows) // PER_PAGE))
    page = min(max(1, asked.page), pages)
    start = (page - 1) * PER_PAGE
    feeds = feed_names()
    shown = [_shown(product, row, feeds, running) for row in rows[start : start + PER_PAGE]]

    def at(number: int) -> str | None:
        if not 1 <= number <= pages:
            return None
        filters = {"usage": asked.usage, "distro": asked.distro, "unavailable": asked.unavailable}
        return url(path_of(product), **filters, page=number if number > 1 else None)

    return visit.page(
        "patchsets.html",
        title=product.title,
        product=product,
        path=path_of(product),
        asked=asked,
        of_archives=of_archives,
        feeds=feeds,
        rows=shown,
        total=len(rows),
        is_empty=not listed,
        has_source=offers.to_come(visit.portal),
        distros=sorted({distro for row in listed for distro in row["distros"]}),
        previous=at(page - 1),
        next=at(page + 1),
        told=f"{start + 1:,}-{start + len(shown):,} of {len(rows):,}" if shown else "",
    )


def show_one(visit: Visit) -> Response:
    product = product_of(visit.portal, visit.text("command"))
    name = visit.text("name")
    patchset, offer = known(product, name)
    row = row_of(visit.portal, product, name)
    feeds = feed_names()
    running = usage.running() if product.checkin else {}
    return visit.page(
        "patchset.html",
        title=name,
        product=product,
        path=path_of(product),
        row=row,
        cells=_shown(product, row, feeds, running)["cells"] if row else [],
        patchset=patchset,
        offer=offer,
        content=contents.content(visit.portal, product, patchset) if patchset else None,
    )


def product_of(portal: Portal, command: str) -> Product:
    """The product whose command this is.

    Raises:
        NotFound: there is none.
    """
    for product in portal.products.values():
        if product.command == command:
            return product
    raise NotFound(f"There is no product {told(command)}.")


def path_of(product: Product, *parts: str) -> str:
    """The path below ``/admin`` of the product's page, or of one below it."""
    return "/".join(("/patchsets", product.command, *parts))


def known(product: Product, name: str) -> tuple[Patchset | None, Offer | None]:
    """What is here of a patchset, and what the source says or said of it.

    Raises:
        NotFound: neither knows of it.
    """
    key = Patchset.key(product.name, name)
    patchset = Patchset.get_or_none(id=key) if is_plain(name) else None
    offer = Offer.get_or_none(id=key) if is_plain(name) else None
    if patchset is None and offer is None:
        raise NotFound(f"There is no {product.title} patchset {told(name)}.")
    return patchset, offer


def row_of(portal: Portal, product: Product, name: str) -> dict[str, Any] | None:
    """The patchset as lists have it; None when it is gone."""
    rows = queries.patchsets(portal, product, unavailable=True)
    return next((row for row in rows if row["patchset"] == name), None)


def badge(state: str, *, withdrawn: bool = False) -> tuple[str, str]:
    """How a state is called, and its colour."""
    return WITHDRAWN if withdrawn and state == ENABLED else STATES[state]


def _is_wanted(
    product: Product,
    row: Mapping[str, Any],
    asked: _Asked,
    running: Mapping[str, Mapping[str, int]],
) -> bool:
    if asked.distro and asked.distro not in row["distros"]:
        return False
    if asked.usage not in (_USED, _UNUSED):
        return True
    is_used = Patchset.key(product.name, row["patchset"]) in running
    return is_used is (asked.usage == _USED)


def _shown(
    product: Product,
    row: Mapping[str, Any],
    feeds: Sequence[str],
    running: Mapping[str, Mapping[str, int]],
) -> dict[str, Any]:
    """A row of the list, with its cells and the servers that run it in any feed."""
    servers = running.get(Patchset.key(product.name, row["patchset"]), {})
    cells = []
    for feed in feeds:
        # A feed may have come since the patchsets were read.
        state = row["feeds"].get(feed, UNDEPLOYED)
        text, colour = badge(state, withdrawn=row["withdrawn"])
        cells.append(Cell(feed, text, colour, servers.get(feed, 0)))
    # It can be managed where it is here, or may come.
    state = row["feeds"].get(MAIN, UNDEPLOYED)
    return {
        **row,
        "cells": cells,
        "servers": sum(servers.values()),
        "manageable": state not in (BLOCKED, UNAVAILABLE, DOWNLOADING),
    }


_PATH = "/patchsets/{command}"
VIEWS = (
    View("GET", _PATH, Access.READER, show),
    View("GET", f"{_PATH}/{{name}}", Access.READER, show_one),
)
