"""``/admin/``: the overview, or for whoever has not logged in the public numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.responses import RedirectResponse, Response

from eportal_core.admin.api.operation import Access
from eportal_core.admin.login import LOGIN
from eportal_core.admin.navigation import navigation as pages_of_plugins
from eportal_core.admin.ui import donut
from eportal_core.admin.ui.addresses import url
from eportal_core.admin.ui.counting import counted
from eportal_core.admin.ui.donut import Segment
from eportal_core.admin.ui.navigation import rank
from eportal_core.admin.ui.visit import View, Visit
from eportal_core.data_age import old_data
from eportal_core.errors import NotFound
from eportal_core.fleet_totals import LATELY, Fleet, Totals, since
from eportal_core.models import Key, Patchset
from eportal_core.queries import counted_lately, server_pages
from eportal_core.queries.server_filter import Age, ServerFilter
from eportal_core.queries.states import INACTIVE, OUT_OF_DATE, UNSUPPORTED, UP_TO_DATE
from eportal_core.queries.week import new_patchsets
from eportal_core.types import Product

_SERVERS = "/servers"
#: Of each table, on the overview and on its own page; and of new patchsets of a product.
_TOP, _ALL, _NEW = 10, 1000, 5
_MACHINES = len(donut.DIFFERENT)
_TITLES = {
    "distro": "Operating systems",
    "release": "Kernels",
    "euname": "Effective kernels",
    "machine": "CPU architectures",
}
#: Days of uptime, at least and less than.
_UPTIMES = (
    ("Under 6 months", 0, 183),
    ("6 to 12 months", 183, 365),
    ("12 to 18 months", 365, 548),
    ("Over 18 months", 548, None),
)
_STATES = (("Up to date", UP_TO_DATE), ("Behind", OUT_OF_DATE), ("Not supported", UNSUPPORTED))
_DAY = 86_400


@dataclass(frozen=True)
class Number:
    """How many servers, and the arguments by which the list of servers finds them."""

    number: int
    query: Mapping[str, Any]

    @property
    def href(self) -> str:
        return url(_SERVERS, **self.query)


@dataclass(frozen=True)
class Line:
    """Of a table: all servers, and of each product those active and those silent."""

    name: str
    servers: Number
    products: Sequence[tuple[Number, Number]]


@dataclass(frozen=True)
class Table:
    """lines: those with the most servers first. others: how many names have no line.

    rest, total: numbers in the order of a line's, the former of all others.
    """

    kind: str
    title: str
    lines: Sequence[Line]
    others: int
    rest: Sequence[int]
    total: Line


def show(visit: Visit) -> Response:
    if visit.caller is None:
        return _public(visit)
    totals = _fleet(visit).known()
    if totals is None:
        return visit.page("counting.html", title="Overview")
    warning = old_data(visit.portal)
    if not totals.servers:
        return visit.page(
            "overview_empty.html",
            title="Overview",
            warning=warning,
            key=Key.select(Key.key).order_by(Key.created).limit(1).scalar(),
            has_patchsets=Patchset.select().exists(),
        )
    products = _products(visit, totals)
    return visit.page(
        "overview.html",
        title="Overview",
        warning=warning,
        tiles=_tiles(totals),
        rows=[_row(totals, product) for product in products],
        products=products,
        states=_STATES,
        uptimes=_uptimes(totals),
        told=Number(totals.uptimes.servers, {"uptime_min": 0}),
        lengths=_lengths(totals),
        machines=_machines(totals),
        total=totals.servers,
        shown=[_table(totals, kind, products, _TOP) for kind in ("distro", "release", "euname")],
        week=_week(visit, totals),
        counted_at=datetime.fromtimestamp(totals.time, UTC),
    )


def _public(visit: Visit) -> Response:
    """What those see who have not logged in: numbers that anybody may know, as documented."""
    if visit.portal.config["AUTH_RESTRICTED_INDEX"]:
        return RedirectResponse(f"{LOGIN}?next=/admin/", 303)
    return visit.page(
        "overview_public.html",
        title="ePortal",
        totals=counted_lately.totals(visit.portal),
        warning=old_data(visit.portal),
        pages=pages_of_plugins(visit.portal),
        login=LOGIN,
    )


def show_all(visit: Visit) -> Response:
    """One of the tables with every name."""
    kind = visit.text("kind")
    if kind not in _TITLES:
        raise NotFound("There is no such page.")
    totals = _fleet(visit).known()
    if totals is None:
        return visit.page("counting.html", title=_TITLES[kind])
    products = _products(visit, totals)
    table = _table(totals, kind, products, _ALL)
    return visit.page("overview_table.html", title=table.title, table=table, products=products)


def _fleet(visit: Visit) -> Fleet:
    fleet: Fleet = visit.request.app.state.fleet
    return fleet


def _products(visit: Visit, totals: Totals) -> list[Product]:
    """Those that servers have, in the order of the navigation."""
    return sorted(
        (each for each in visit.portal.products.values() if totals.products[each.name]), key=rank
    )


def _tiles(totals: Totals) -> list[tuple[str, Number, str]]:
    """Label, number and what it means."""
    silent = totals.of_state(INACTIVE)
    return [
        ("Servers", Number(totals.servers, {}), "All that are registered"),
        (
            "Active",
            Number(totals.servers - silent, {"active": "true"}),
            "Checked in within 48 hours",
        ),
        ("Silent", Number(silent, {"active": "false"}), "Did not check in for 48 hours, or never"),
        (
            "Up to date",
            Number(totals.of_state(UP_TO_DATE), {"state": UP_TO_DATE}),
            "Active, and running the latest level that is enabled in their feed",
        ),
        (
            "Behind",
            Number(totals.of_state(OUT_OF_DATE), {"state": OUT_OF_DATE}),
            "Active, and their feed has a newer level",
        ),
        (
            "Not supported",
            Number(totals.of_state(UNSUPPORTED), {"state": UNSUPPORTED}),
            "Active, and their feed has nothing that fits them",
        ),
    ]


def _row(totals: Totals, product: Product) -> tuple[Product, list[Number | None]]:
    """A product: its servers, those active and silent, and if it is known how they are patched."""
    query = {"product": product.name}
    number, silent = totals.products[product.name], totals.of_product[product.name, INACTIVE]
    return product, [
        Number(number, query),
        Number(number - silent, {**query, "active": "true"}),
        Number(silent, {**query, "active": "false"}),
        *(
            Number(totals.of_product[product.name, state], {**query, "state": state})
            if product.checkin
            else None
            for _, state in _STATES
        ),
    ]


def _uptimes(totals: Totals) -> list[Segment]:
    return donut.segments(
        [
            (
                label,
                totals.uptimes.between(least, most),
                url(_SERVERS, uptime_min=least or None, uptime_max=most),
                colour,
            )
            for (label, least, most), colour in zip(_UPTIMES, donut.WORSE, strict=True)
        ]
    )


def _lengths(totals: Totals) -> list[tuple[str, str, str]]:
    """Name, length and the address of the servers that run at least so many days."""
    known = totals.uptimes
    return [
        (name, _length(seconds), url(_SERVERS, uptime_min=seconds // _DAY))
        for name, seconds in (
            ("Maximum", known.longest),
            ("Average", known.average),
            ("Median", known.median),
        )
    ]


def _length(seconds: int) -> str:
    if seconds >= 2 * _DAY:
        return counted(seconds // _DAY, "day")
    return counted(seconds // 3600, "hour") if seconds >= 3600 else "under 1 hour"


def _machines(totals: Totals) -> list[Segment]:
    found = _told(totals, "machine").most_common()
    shown, others = found[:_MACHINES], found[_MACHINES:]
    parts = [
        (
            name or "not known",
            number,
            url(_SERVERS, **_asked("machine", name)),
            colour if name else donut.OTHERS,
        )
        for (name, number), colour in zip(shown, donut.DIFFERENT, strict=False)
    ]
    if others:
        rest = sum(number for _, number in others)
        parts.append((f"{len(others):,} others", rest, url("/overview/machine"), donut.OTHERS))
    return donut.segments(parts)


def _told(totals: Totals, kind: str) -> Counter[str]:
    """Servers by what they told of ``kind``."""
    found: Counter[str] = Counter()
    for (each, name, product, _), number in totals.kinds.items():
        if each == kind and not product:
            found[name] += number
    return found


def _asked(kind: str, name: str) -> dict[str, str]:
    return {kind: name} if name else {"unknown": kind}


def _table(totals: Totals, kind: str, products: Sequence[Product], most: int) -> Table:
    found = sorted(_told(totals, kind).items(), key=lambda item: (-item[1], item[0]))
    lines = [
        _line(totals, kind, name or "not known", [name], products, _asked(kind, name))
        for name, _ in found[:most]
    ]
    left = [name for name, _ in found[most:]]
    rest = _line(totals, kind, "", left, products, {})
    return Table(
        kind,
        _TITLES[kind],
        lines,
        len(left),
        [rest.servers.number, *(each.number for pair in rest.products for each in pair)],
        _line(totals, kind, "Total", [name for name, _ in found], products, {}),
    )


def _line(
    totals: Totals,
    kind: str,
    title: str,
    names: Iterable[str],
    products: Sequence[Product],
    query: Mapping[str, str],
) -> Line:
    names = list(names)

    def number(product: str, *states: bool) -> int:
        return sum(totals.kinds[kind, name, product, each] for name in names for each in states)

    return Line(
        title,
        Number(number("", True, False), query),
        [
            (
                Number(number(each.name, True), {**query, "product": each.name, "active": "true"}),
                Number(
                    number(each.name, False), {**query, "product": each.name, "active": "false"}
                ),
            )
            for each in products
        ],
    )


def _week(visit: Visit, totals: Totals) -> dict[str, Any]:
    lately = ServerFilter(registered_age=Age(timedelta(days=LATELY), at_most=True))
    registered = server_pages.count(server_pages.Listing(visit.portal, lately))
    moment = since()
    return {
        "patchsets": [
            (product, new[:_NEW], len(new) - _NEW)
            for product, new in new_patchsets(visit.portal, moment)
        ],
        "registered": Number(registered, {"registered_age": f"-{LATELY}"}),
        "removed": totals.removed,
        "since": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


VIEWS = (
    View("GET", "/", Access.ANYBODY, show),
    View("GET", "/overview/{kind}", Access.READER, show_all),
)
