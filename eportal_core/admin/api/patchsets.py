"""``/admin/api/patchsets``: what there is of each product, and what feeds have of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from eportal_core import queries
from eportal_core.admin.api.operation import Access, Call, Operation
from eportal_core.admin.api.shapes import Ok
from eportal_core.errors import NotFound
from eportal_core.models import MAIN
from eportal_core.operations import patchsets
from eportal_core.types import Product


class PatchsetShown(msgspec.Struct, frozen=True):
    """A patchset. status: in the feed that was asked for, else in ``main``; feeds: in each feed.

    size: of its content, or of its archive while it is not here, bytes. withdrawn: it is here, and
    the patch source does not list it any more.
    """

    patchset: str
    status: str
    released: str | None
    appeared: str | None
    distros: list[str]
    channels: list[str]
    size: int
    withdrawn: bool
    feeds: dict[str, str]


class Patchsets(msgspec.Struct, frozen=True):
    result: list[PatchsetShown]


class PatchsetsWanted(msgspec.Struct, frozen=True):
    """product: kernel unless given. distro: may stand several times; patchsets for any of them."""

    feed: str = ""
    product: str = ""
    distro: list[str] | None = None
    status: str = ""
    unavailable: bool = False


class Managed(msgspec.Struct, frozen=True):
    """feed: may stand several times; ``main`` unless given."""

    patchset: str
    action: Literal["enable", "disable", "enable-upto", "undeploy-downto"]
    product: str = ""
    feed: list[str] | None = None


def list_patchsets(call: Call, arguments: PatchsetsWanted) -> Patchsets:
    """Patchsets of a product, the oldest first."""
    product = product_of(call, arguments.product)
    call.check_product(product.name)
    call.check_feed(arguments.feed or MAIN)
    rows = queries.patchsets(
        call.portal, product, arguments.feed or None, unavailable=arguments.unavailable
    )
    distros = set(arguments.distro or ())
    return Patchsets(
        [
            msgspec.convert(row, PatchsetShown)
            for row in rows
            if (not distros or not distros.isdisjoint(row["distros"]))
            and (not arguments.status or row["status"] == arguments.status)
        ]
    )


def manage_patchset(call: Call, arguments: Managed) -> Ok:
    """Enable or disable a patchset in feeds, all up to it, or take all down to it out of them.

    Of several feeds, none is changed when it cannot be done in one of them.
    """
    product = product_of(call, arguments.product)
    call.check_product(product.name)
    feeds = arguments.feed or [MAIN]
    for feed in feeds:
        call.check_feed(feed)
    actions = dict.fromkeys(feeds, arguments.action)
    patchsets.manage(call.portal, product, arguments.patchset, actions)
    return Ok()


def product_of(call: Call, name: str) -> Product:
    """The product that the API calls so, or that is called so elsewhere; by default the first one.

    Raises:
        NotFound: there is none.
    """
    products = list(call.portal.products.values())
    for product in products:
        if name == (product.api_name or product.name) or (not name and product.checkin):
            return product
    for product in products:
        if name in (product.name, product.command, *product.aliases):
            return product
    raise NotFound("There is no such product.")


OPERATIONS = (
    Operation("GET", "/admin/api/patchsets", Access.READER, list_patchsets, limited=True),
    Operation("POST", "/admin/api/patchsets/manage", Access.ADMIN, manage_patchset, limited=True),
)
