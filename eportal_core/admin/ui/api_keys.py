"""``/admin/api-keys``: one's own API keys; administrators see and remove those of all."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from eportal_core.admin.api import api_keys as api
from eportal_core.admin.api.operation import Access, NoArguments
from eportal_core.admin.ui.choices import feed_names, product_titles
from eportal_core.admin.ui.visit import Form, View, Visit
from eportal_core.errors import NotFound, PortalError

_LIST = "/api-keys"


class _Filled(msgspec.Struct, frozen=True):
    """The form. days: how long it lives, for ever when it is empty."""

    name: str = ""
    write: bool = False
    product: list[str] | None = None
    feed: list[str] | None = None
    days: int | None = None


def show(visit: Visit) -> Response:
    found = api.list_api_keys(visit.call, NoArguments()).result
    titles = dict(product_titles(visit.portal))
    return visit.page("api_keys.html", title="API keys", keys=found, titles=titles)


def add_form(visit: Visit) -> Response:
    return _form(visit, Form({"days": 365}))


def add(visit: Visit) -> Response:
    """The page that tells the token: it is nowhere else, and so no redirect leads to it."""
    try:
        filled = visit.arguments(_Filled)
        new = api.add_api_key(
            visit.call,
            api.ApiKeyWanted(filled.name, filled.write, filled.product, filled.feed, filled.days),
        )
    except PortalError as error:
        return _form(visit, visit.typed(error, "product", "feed"))
    return visit.page(
        "api_key_made.html",
        title=f"API key {filled.name}",
        token=new.token,
        header=visit.portal.config["API_AUTH_HEADER"],
    )


def ask_remove(visit: Visit) -> Response:
    number = visit.text("id")
    found = api.list_api_keys(visit.call, NoArguments()).result
    key = next((key for key in found if key.id == number), None)
    if key is None:
        raise NotFound("There is no such API key of yours.")
    loses = [f"Whatever uses this API key of {key.user} is refused from then on."]
    back = f"/admin{_LIST}"
    return visit.confirm(f"Remove API key {key.name}?", loses, "Remove", back, id=number)


def remove(visit: Visit) -> Response:
    count = api.delete_api_key(visit.call, api.ApiKeyNamed(visit.text("id"))).result
    if not count:
        raise NotFound("There is no such API key; somebody may have removed it already.")
    return visit.go(_LIST, "The API key was removed.")


def _form(visit: Visit, form: Form) -> Response:
    return visit.page(
        "api_key.html",
        title="Add an API key",
        form=form,
        products=product_titles(visit.portal),
        feeds=feed_names(),
    )


VIEWS = (
    View("GET", _LIST, Access.READER, show),
    View("GET", "/api-keys/add", Access.OWN, add_form),
    View("POST", "/api-keys/add", Access.OWN, add),
    View("GET", "/api-keys/remove", Access.OWN, ask_remove),
    View("POST", "/api-keys/remove", Access.OWN, remove),
)
