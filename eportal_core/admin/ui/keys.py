"""``/admin/keys``: the registration keys."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from eportal_core import queries
from eportal_core.admin.api.operation import Access
from eportal_core.admin.ui.choices import feed_names, product_titles
from eportal_core.admin.ui.counting import counted
from eportal_core.admin.ui.saving import saved
from eportal_core.admin.ui.visit import Form, View, Visit
from eportal_core.errors import PortalError
from eportal_core.models import MAIN
from eportal_core.operations import keys

_LIST = "/keys"


class _Filled(msgspec.Struct, frozen=True):
    """The form. server_limit: 0 is no limit."""

    key: str = ""
    feed: str = MAIN
    note: str = ""
    server_limit: int = 0
    product: tuple[str, ...] = ()
    enabled: bool = False


def show(visit: Visit) -> Response:
    titles = dict(product_titles(visit.portal))
    found = queries.keys(visit.portal)
    return visit.page("keys.html", title="Keys", keys=found, titles=titles)


def add_form(visit: Visit) -> Response:
    start = {"feed": MAIN, "server_limit": 0, "product": _usual(visit), "enabled": True}
    return _form(visit, "Add a key", Form(start))


def add(visit: Visit) -> Response:
    try:
        filled = visit.arguments(_Filled)
        key = keys.add(visit.portal, filled.key or None, **_values(visit, filled))
    except PortalError as error:
        return _form(visit, "Add a key", visit.typed(error, "product"))
    return saved(visit, f"Key {key.key} was added.", _LIST, key=key.key)


def edit_form(visit: Visit) -> Response:
    row = queries.keys(visit.portal, visit.text("key"))[0]
    return _form(visit, f"Key {row['key']}", Form({**row, "product": row["products"]}), True)


def edit(visit: Visit) -> Response:
    name = keys.get(visit.text("key")).key
    try:
        filled = visit.arguments(_Filled)
        keys.change(visit.portal, name, **_values(visit, filled))
    except PortalError as error:
        return _form(visit, f"Key {name}", visit.typed(error, "product"), True)
    return saved(visit, f"Key {name} was saved.", _LIST, key=name)


def ask_remove(visit: Visit) -> Response:
    row = queries.keys(visit.portal, visit.text("key"))[0]
    name, servers = row["key"], row["servers"]
    loses = [
        f"{counted(servers, 'server')} registered with it will be removed, too, and must "
        f"register again with another key."
        if servers
        else "No server is registered with it."
    ]
    back = f"/admin{_LIST}"
    title = f"Remove key {name}?"
    return visit.confirm(title, loses, "Remove", back, key=name, told=str(servers))


def remove(visit: Visit) -> Response:
    name = visit.text("key")
    if queries.keys(visit.portal, name)[0]["servers"] > visit.number("told"):
        # More registered since it was asked.
        return ask_remove(visit)
    count = keys.remove(visit.portal, name)
    return visit.go(_LIST, f"Key {name} and {counted(count, 'server')} were removed.")


def _usual(visit: Visit) -> list[str]:
    return [product.name for product in visit.portal.products.values() if product.default]


def _values(visit: Visit, filled: _Filled) -> dict[str, Any]:
    """Of the key; the default products are not named, so that it gets new ones, too."""
    is_usual = set(filled.product) == set(_usual(visit))
    return {
        "feed": filled.feed,
        "note": filled.note,
        "server_limit": filled.server_limit,
        "products": () if is_usual else filled.product,
        "enabled": filled.enabled,
    }


def _form(visit: Visit, title: str, form: Form, exists: bool = False) -> Response:
    return visit.page(
        "key.html",
        title=title,
        form=form,
        exists=exists,
        feeds=feed_names(),
        products=product_titles(visit.portal),
    )


VIEWS = (
    View("GET", _LIST, Access.READER, show),
    View("GET", "/keys/add", Access.ADMIN, add_form),
    View("POST", "/keys/add", Access.ADMIN, add),
    View("GET", "/keys/edit", Access.ADMIN, edit_form),
    View("POST", "/keys/edit", Access.ADMIN, edit),
    View("GET", "/keys/remove", Access.ADMIN, ask_remove),
    View("POST", "/keys/remove", Access.ADMIN, remove),
)
