"""The index page: how many servers there are, how many were heard of lately, how old data is.

Anybody may see these numbers, as documented (AUTH_RESTRICTED_INDEX will close it to users).
"""

from __future__ import annotations

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from eportal_core import db
from eportal_core.admin.navigation import navigation
from eportal_core.data_age import old_data
from eportal_core.portal import Portal
from eportal_core.queries import fleet_totals

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>ePortal</title>
<style>
:root {{ color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }}
body {{ max-width: 40rem; margin: 3rem auto; padding: 0 1rem; }}
th {{ text-align: left; font-weight: normal; padding-right: 2rem; }}
td {{ text-align: right; font-variant-numeric: tabular-nums; }}
</style>
<h1>ePortal</h1>
<table>
<tr><th>Total number of servers<td>{total}
<tr><th>Servers that checked in for the past 48 hours<td>{active}
</table>
{warning}{links}<p>This portal is run with the command <code>kc.eportal</code>.
"""


def index_routes(portal: Portal) -> list[Route]:
    pages = navigation(portal)
    items = "".join(f'<li><a href="{escape(page.path)}">{escape(page.title)}</a>' for page in pages)
    links = f"<nav><ul>{items}</ul></nav>\n" if pages else ""

    def index(request: Request) -> Response:
        with db.connection():
            totals = fleet_totals()
        age = old_data(portal)
        warning = f"<p><strong>{escape(age)}.</strong>\n" if age else ""
        page = _PAGE.format(total=totals.total, active=totals.active, warning=warning, links=links)
        return HTMLResponse(page)

    def root(request: Request) -> Response:
        return RedirectResponse("/admin/")

    return [Route("/admin", root), Route("/admin/", index)]
