"""``/admin/servers``: the list, its filters, and the same as a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.responses import Response, StreamingResponse

from eportal_core.admin.api.operation import Access
from eportal_core.admin.csv import csv_of
from eportal_core.admin.ui.choices import feed_names, product_titles
from eportal_core.admin.ui.server_query import LIST, STATES, Query
from eportal_core.admin.ui.visit import View, Visit
from eportal_core.errors import PortalError
from eportal_core.queries import counted_lately, server_pages, server_rows, server_states, tags
from eportal_core.queries.listings import clones
from eportal_core.queries.server_pages import Listing, ServerPage
from eportal_core.queries.server_rows import ServerShown
from eportal_core.queries.server_states import Standing, key_names

#: Servers on a page, unless another one of these is chosen.
PAGE_LENGTH = 50
_LENGTHS = (50, 100, 200, 500)
#: With more of them than this, a filter is a field to write in.
_CHOICES_MAX = 100
#: Servers of one piece of a file.
_PIECE = 1000

#: Columns, and whether the list sorts by them.
_COLUMNS = {
    "hostname": True,
    "state": False,
    "patchset": False,
    "checkin": True,
    "ip": True,
    "tags": False,
    "key": True,
    "feed": False,
    "distro": True,
    "euname": False,
    "updated": True,
    "registered": True,
    "id": True,
}
#: Times are looked at from the latest one back.
_DESCENDING = ("checkin", "updated", "registered")


@dataclass(frozen=True)
class Row:
    """A line of the list; ``clones``: host names that come in turns under its id."""

    server: ServerShown
    standing: Standing
    clones: list[str]


@dataclass(frozen=True)
class Heading:
    """sorted: ``ascending``, ``descending`` or empty; address: of the list sorted by it, or
    turned; empty when it cannot be."""

    column: str
    sorted: str
    address: str


def show(visit: Visit) -> Response:
    query = Query.of(visit.values)
    totals = counted_lately.totals(visit.portal)
    problem = ""
    rows: list[Row] = []
    page, limit = ServerPage(0, [], None), PAGE_LENGTH
    try:
        listing, limit = listing_of(visit, query)
        offset = min(int(visit.text("offset", "0") or 0), 10**9)
        cursor = visit.text("cursor")
        known = None if cursor else counted_lately.count(listing)
        page = server_pages.page(listing, limit, offset, cursor, known=known)
        rows = _rows(visit, page)
    except PortalError as error:
        problem = str(error)
    except ValueError:
        problem = "offset must be a whole number."
    return visit.page(
        "servers.html",
        status=422 if problem else 200,
        title="Servers",
        problem=problem,
        totals=totals,
        query=query,
        rows=rows,
        page=page,
        paging=_paging(query, page, limit),
        headings=[_heading(query, *column) for column in _COLUMNS.items()],
        states=STATES,
        lengths=_LENGTHS,
        limit=limit,
        choices=_choices(visit),
    )


def export(visit: Visit) -> Response:
    """All that the filter finds, as CSV, a piece at a time."""
    listing, _ = listing_of(visit, Query.of(visit.values))
    pieces = visit.while_admitted(server_rows.exported(listing, _PIECE))
    return StreamingResponse(
        csv_of(ServerShown, pieces),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="servers.csv"'},
    )


def listing_of(visit: Visit, query: Query) -> tuple[Listing, int]:
    """The list that is asked for, and how many servers are on a page.

    Raises:
        InvalidValue: a filter or the order is none.
    """
    ordered = query.ordered()
    limit = ordered.limit if query.text("limit") and 0 < ordered.limit <= max(_LENGTHS) else 0
    descending = ordered.order == "desc"
    if not query.text("sort"):
        # The latest first, as there is nothing else to order them by.
        descending = query.text("order") != "asc"
    listing = Listing(visit.portal, query.wanted(visit), ordered.sort, descending)
    return listing, limit or PAGE_LENGTH


def _rows(visit: Visit, page: ServerPage) -> list[Row]:
    found = server_rows.shown(page.numbers)
    shared = clones([row.id for row in found])
    standings = server_states.standings(visit.portal, found)
    return [
        Row(server, standing, shared.get(server.id, []))
        for server, standing in zip(found, standings, strict=True)
    ]


def _paging(query: Query, page: ServerPage, limit: int) -> dict[str, str]:
    """Addresses of the pages around this one, empty for none, and which rows these are."""
    first, last = page.row + 1, page.row + len(page.numbers)
    return {
        "first": query.address() if page.previous else "",
        "previous": query.address(cursor=page.previous) if page.previous else "",
        "next": query.address(cursor=page.cursor) if page.cursor else "",
        "last": query.address(offset=str((page.count - 1) // limit * limit)) if page.cursor else "",
        "told": f"{first:,}-{last:,} of {page.count:,}" if page.numbers else "",
    }


def _heading(query: Query, column: str, sorts: bool) -> Heading:
    if not sorts:
        return Heading(column, "", "")
    if query.text("sort") or query.text("order"):
        is_sorted = (query.text("sort") or "registered") == column
        descending = query.text("order") == "desc"
    else:
        is_sorted, descending = column == "registered", True
    if not is_sorted:
        order = "desc" if column in _DESCENDING else "asc"
        return Heading(column, "", query.address(sort=column, order=order))
    turned = query.address(sort=column, order="asc" if descending else "desc")
    return Heading(column, "descending" if descending else "ascending", turned)


def _choices(visit: Visit) -> dict[str, list[Any]]:
    """What filters can be chosen from; nothing where it would be too much to choose from."""
    found: dict[str, list[Any]] = {
        "feed": feed_names(),
        "key": key_names(_CHOICES_MAX + 1),
        "product": product_titles(visit.portal),
        "distro": server_states.distros(),
        "tag": [each.tag for each in tags.page(_CHOICES_MAX + 1).tags],
    }
    return {
        name: choices if len(choices) <= _CHOICES_MAX else [] for name, choices in found.items()
    }


VIEWS = (
    View("GET", LIST, Access.READER, show),
    View("GET", f"{LIST}/export", Access.READER, export),
)
