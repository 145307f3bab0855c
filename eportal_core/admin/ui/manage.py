"""``/admin/patchsets/<command>/<name>/manage``: change its state in feeds, once that was shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from starlette.responses import Response

from eportal_core.admin.api.operation import Access
from eportal_core.admin.tasks import tasks
from eportal_core.admin.ui.choices import feed_names
from eportal_core.admin.ui.counting import counted
from eportal_core.admin.ui.patchsets import badge, known, path_of, product_of, row_of
from eportal_core.admin.ui.tasks import ended_or_shown
from eportal_core.admin.ui.visit import View, Visit
from eportal_core.errors import Conflict, InvalidValue, PortalError
from eportal_core.models import UNDEPLOYED
from eportal_core.operations import bringing, patchsets
from eportal_core.queries.preview import preview
from eportal_core.types import Product

#: What can be chosen for a feed, and how that is called; empty for nothing.
CHOICES: Mapping[str, str] = {
    "enable-upto": "Enable all up to",
    "enable": "Enable",
    "": "Do nothing",
    "disable": "Disable",
    "undeploy-downto": "Undeploy down to",
}
#: What a button does in all feeds.
FOR_ALL: Mapping[str, str] = {
    "enable-upto": "Enable all up to, in all feeds",
    "enable": "Enable in all feeds",
    "disable": "Disable in all feeds",
    "undeploy-downto": "Undeploy down to, in all feeds",
}
#: Fields that say what is done in a feed begin so.
_FIELD = "do."
#: Names that a page lists of what changes its state.
NAMES_AT_MOST = 100


def show(visit: Visit) -> Response:
    """The form; with choices in the query, below it what they would do."""
    return _page(visit, _chosen(visit))


def choose(visit: Visit) -> Response:
    """Leads to the page that shows what the choices would do."""
    product = product_of(visit.portal, visit.text("command"))
    return visit.go(_address(product, visit.text("name"), _chosen(visit)))


def apply(visit: Visit) -> Response:
    product = product_of(visit.portal, visit.text("command"))
    name, chosen, mark = visit.text("name"), _chosen(visit), visit.text("mark")
    if not chosen or not mark:
        return visit.go(path_of(product, name, "manage"), "Choose what to do first.", "warning")
    if _encoded(chosen) != visit.text("shown"):
        return _page(visit, chosen, "You chose something else since. See what it would do now.")

    def work() -> str:
        changed = patchsets.manage(portal, product, name, chosen, mark=mark)
        return _told(product, name, chosen, changed)

    portal = visit.portal
    try:
        # Told on the page of choices, not when it is begun already.
        if patchsets.mark_of(patchsets.planned(product, name, chosen)) != mark:
            raise Conflict("Somebody changed the feeds meanwhile. See what it would do now.")
        task = tasks.start(visit.user, f"Manage {name}", path_of(product), work)
    except PortalError as error:
        return _page(visit, chosen, str(error))
    return ended_or_shown(visit, task)


def download(visit: Visit) -> Response:
    product = product_of(visit.portal, visit.text("command"))
    name, chosen = visit.text("name"), _chosen(visit)
    portal = visit.portal
    onward = _address(product, name, chosen)
    try:
        names = [row.name for row in bringing.to_bring(portal, product, name, _upto(chosen))]
        task = tasks.start(
            visit.user,
            f"Download {counted(len(names), 'patchset')} of {product.title}",
            onward,
            lambda: bringing.bring(portal, product, names),
        )
    except PortalError as error:
        return _page(visit, chosen, str(error))
    return ended_or_shown(visit, task)


def _page(visit: Visit, chosen: Mapping[str, str], error: str = "") -> Response:
    product = product_of(visit.portal, visit.text("command"))
    name = visit.text("name")
    patchset, _ = known(product, name)
    row = row_of(visit.portal, product, name)
    states = row["feeds"] if row else {}
    withdrawn = bool(row and row["withdrawn"])
    shown, to_come = None, []
    try:
        if patchset is None or chosen:
            to_come = bringing.to_bring(visit.portal, product, name, _upto(chosen))
        if patchset is not None and chosen:
            shown = preview(visit.portal, product, name, chosen)
    except PortalError as refusal:
        error = error or str(refusal)
    return visit.page(
        "manage.html",
        status=422 if error else 200,
        title=f"Manage {name}",
        product=product,
        path=path_of(product),
        name=name,
        is_here=patchset is not None,
        error=error,
        choices=CHOICES,
        for_all=FOR_ALL,
        field=_FIELD,
        chosen=chosen,
        encoded=_encoded(chosen),
        feeds=[
            (feed, *badge(states.get(feed, UNDEPLOYED), withdrawn=withdrawn))
            for feed in feed_names()
        ],
        preview=shown,
        to_come=to_come,
        names_at_most=NAMES_AT_MOST,
    )


def _chosen(visit: Visit) -> dict[str, str]:
    """What is to be done, by feed; a button for all feeds wins over what was chosen for each.

    Raises:
        InvalidValue: there is no such choice.
    """
    feeds = feed_names()
    everywhere = visit.text("all")
    chosen = {feed: everywhere or visit.text(f"{_FIELD}{feed}") for feed in feeds}
    for action in chosen.values():
        if action not in CHOICES:
            raise InvalidValue("There is no such choice.")
    return {feed: action for feed, action in chosen.items() if action}


def _upto(chosen: Mapping[str, str]) -> Sequence[str]:
    """The feeds that want older patchsets, too."""
    return [feed for feed, action in chosen.items() if action == "enable-upto"]


def _address(product: Product, name: str, chosen: Mapping[str, str]) -> str:
    """Of the page below ``/admin`` with these choices."""
    query = _encoded(chosen)
    return f"{path_of(product, name, 'manage')}{'?' if query else ''}{query}"


def _encoded(chosen: Mapping[str, str]) -> str:
    return urlencode({f"{_FIELD}{feed}": action for feed, action in chosen.items()})


_DONE = {
    "enable-upto": "enabled",
    "enable": "enabled",
    "disable": "disabled",
    "undeploy-downto": "undeployed",
}


def _told(
    product: Product, name: str, chosen: Mapping[str, str], changed: Mapping[str, int]
) -> str:
    done = "; ".join(
        f"{counted(count, 'patchset')} {_DONE[chosen[feed]]} in {feed}"
        for feed, count in changed.items()
    )
    when = "at their next check-in" if product.checkin else "when their agents ask next"
    return f"{name}: {done}. Servers take it {when}."


_PATH = "/patchsets/{command}/{name}"
VIEWS = (
    View("GET", f"{_PATH}/manage", Access.ADMIN, show),
    View("POST", f"{_PATH}/manage", Access.ADMIN, apply),
    View("POST", f"{_PATH}/choose", Access.ADMIN, choose),
    View("POST", f"{_PATH}/download", Access.ADMIN, download),
)
