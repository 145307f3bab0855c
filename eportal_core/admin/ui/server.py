"""``/admin/servers/{id}``: everything that is known of one server."""

from __future__ import annotations

from starlette.responses import Response

from eportal_core.admin.api.operation import Access
from eportal_core.admin.api.servers import OneServer, show_server
from eportal_core.admin.ui.server_query import LIST, STATES
from eportal_core.admin.ui.visit import Form, View, Visit
from eportal_core.errors import NotFound, PortalError
from eportal_core.operations import keys, servers
from eportal_core.queries.server_history import history
from eportal_core.queries.server_rows import ServerDetails
from eportal_core.queries.server_states import standings

_PATH = f"{LIST}/{{id}}"


def show(visit: Visit) -> Response:
    return _page(visit, Form({}))


def set_tags(visit: Visit) -> Response:
    try:
        servers.set_tags(visit.portal, visit.text("id"), visit.text("tags"))
    except NotFound:
        raise
    except PortalError as error:
        return _page(visit, visit.typed(error))
    return visit.go(f"{LIST}/{visit.text('id')}", "Its tags were saved.")


def _page(visit: Visit, form: Form) -> Response:
    server = show_server(visit.call, OneServer(visit.text("id")))
    (standing,) = standings(visit.portal, [server])
    return visit.page(
        "server.html",
        title=server.hostname,
        server=server,
        standing=standing,
        states=STATES,
        products=_products(visit, server),
        uptime=_uptime(server.uptime),
        history=history(server.id),
        form=form if form.error else Form({"tags": server.tags or ""}),
    )


def _products(visit: Visit, server: ServerDetails) -> list[tuple[str, bool]]:
    """Titles of the products of its key; whether it tells what it runs of them."""
    if server.key is None:
        return []
    names = keys.products_of(visit.portal, keys.get(server.key))
    known = visit.portal.products
    return [(known[name].title, known[name].checkin) for name in names if name in known]


def _uptime(seconds: int | None) -> str:
    if seconds is None:
        return ""
    days, rest = divmod(seconds, 86_400)
    hours, minutes = rest // 3600, rest % 3600 // 60
    if days:
        return f"{days:,} d {hours} h"
    return f"{hours} h {minutes} min"


VIEWS = (
    View("GET", _PATH, Access.READER, show),
    View("POST", f"{_PATH}/tags", Access.ADMIN, set_tags),
)
