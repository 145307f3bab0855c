"""``/admin/api/status`` and ``/admin/api/storage``: how the portal is, and what takes its disk."""

from __future__ import annotations

from importlib.metadata import version

import msgspec

from eportal_core import data_age
from eportal_core.admin.api.operation import Access, Call, NoArguments, Operation
from eportal_core.disk_usage import Usage, usage
from eportal_core.queries import counted_lately


class ProductShown(msgspec.Struct, frozen=True):
    """name: as keys have it. api_name: as ``product`` of the API has it."""

    name: str
    api_name: str
    title: str


class Status(msgspec.Struct, frozen=True):
    """servers: registered. active: of them, checked in within 48 hours.

    source: whether a patch source is set. data_age: seconds since it was last read, null for never.
    """

    version: str
    servers: int
    active: int
    products: list[ProductShown]
    source: bool
    data_age: int | None


class Storage(msgspec.Struct, frozen=True):
    """All sizes are bytes."""

    result: Usage


def show_status(call: Call, arguments: NoArguments) -> Status:
    """What the portal is and how it does.

    Many servers are counted once a minute; the first to ask after longer gets the count of before.
    """
    totals = counted_lately.totals(call.portal)
    age = data_age.data_age(call.portal)
    return Status(
        version("eportal"),
        totals.total,
        totals.active,
        [
            ProductShown(product.name, product.api_name or product.name, product.title)
            for product in call.portal.products.values()
        ],
        bool(call.portal.config["PATCH_SOURCE_URL"]),
        None if age is None else int(age.total_seconds()),
    )


def show_storage(call: Call, arguments: NoArguments) -> Storage:
    """What takes the disk, for each product and feed."""
    return Storage(usage(call.portal))


OPERATIONS = (
    Operation("GET", "/admin/api/status", Access.READER, show_status),
    Operation("GET", "/admin/api/storage", Access.READER, show_storage),
)
