"""The index page: how many servers there are, how many were heard of lately, how old data is.

Anybody may see these numbers, as documented, unless AUTH_RESTRICTED_INDEX closes it to users.
"""

from __future__ import annotations

from html import escape

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from eportal_core.admin.login import LOGIN
from eportal_core.admin.navigation import navigation
from eportal_core.admin.page import page
from eportal_core.data_age import old_data
from eportal_core.portal import Portal
from eportal_core.queries import fleet_totals

_BODY = """<h1>ePortal</h1>
<p><a href="{login}">Log in</a>
<table>
<tr><th>Total number of servers<td>{total}
<tr><th>Servers that checked in for the past 48 hours<td>{active}
</table>
{warning}{links}<p>Users who have logged in see more.
"""


def index_routes(portal: Portal) -> list[Route]:
    """Leads to the index page, which is one of the shell's (``admin.ui.overview``)."""

    def root(request: Request) -> Response:
        return RedirectResponse("/admin/")

    return [Route("/admin", root)]


def public_index(portal: Portal, request: Request) -> Response:
    """The index page of those who have not logged in; call it on a database connection."""
    if portal.config["AUTH_RESTRICTED_INDEX"]:
        return RedirectResponse(f"{LOGIN}?next=/admin/", 303)
    pages = navigation(portal)
    items = "".join(f'<li><a href="{escape(page.path)}">{escape(page.title)}</a>' for page in pages)
    totals = fleet_totals()
    age = old_data(portal)
    body = _BODY.format(
        total=totals.total,
        active=totals.active,
        login=LOGIN,
        warning=f"<p><strong>{escape(age)}.</strong>\n" if age else "",
        links=f"<nav><ul>{items}</ul></nav>\n" if pages else "",
    )
    return page(request, "ePortal", body)
