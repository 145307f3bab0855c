"""``/admin/feeds``: the feeds."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
from starlette.responses import Response

from eportal_core import queries
from eportal_core.admin.api.operation import Access
from eportal_core.admin.ui.counting import capital, counted
from eportal_core.admin.ui.saving import saved
from eportal_core.admin.ui.visit import Form, View, Visit
from eportal_core.errors import PortalError
from eportal_core.models import CHANNELS, MAIN
from eportal_core.operations import feeds

_LIST = "/feeds"


class _Filled(msgspec.Struct, frozen=True):
    """The form. deploy_after: hours."""

    name: str = ""
    auto: bool = False
    deploy_after: int = 0
    channel: str = CHANNELS[0]


def show(visit: Visit) -> Response:
    return visit.page("feeds.html", title="Feeds", feeds=_with_counts(visit))


def add_form(visit: Visit) -> Response:
    return _form(visit, "Add a feed", Form({"channel": CHANNELS[0], "deploy_after": 0}))


def add(visit: Visit) -> Response:
    try:
        filled = visit.arguments(_Filled)
        feeds.add(visit.portal, filled.name, **_values(filled))
    except PortalError as error:
        return _form(visit, "Add a feed", visit.typed(error))
    return saved(visit, f"Feed {filled.name} was added.", _LIST, name=filled.name)


def edit_form(visit: Visit) -> Response:
    row = queries.feeds(visit.text("name"))[0]
    return _form(visit, f"Feed {row['name']}", Form(row), True)


def edit(visit: Visit) -> Response:
    name = feeds.get(visit.text("name")).name
    try:
        filled = visit.arguments(_Filled)
        feeds.change(visit.portal, name, **_values(filled))
    except PortalError as error:
        return _form(visit, f"Feed {name}", visit.typed(error), True)
    return saved(visit, f"Feed {name} was saved.", _LIST, name=name)


def ask_remove(visit: Visit) -> Response:
    row = _removable(visit)
    name, servers = row["name"], row["servers"]
    keys = capital(counted(row["keys"], "key"))
    loses = [
        f"{keys} with {counted(servers, 'server')} will move to the feed {MAIN}, and get its "
        f"patchsets."
        if row["keys"]
        else "No key uses it."
    ]
    back = f"/admin{_LIST}"
    title = f"Remove feed {name}?"
    return visit.confirm(title, loses, "Remove", back, name=name, told=str(servers))


def remove(visit: Visit) -> Response:
    row = _removable(visit)
    name = row["name"]
    if row["servers"] > visit.number("told"):
        # More came since it was asked.
        return ask_remove(visit)
    count = feeds.remove(visit.portal, name)
    moved = f"{counted(count, 'key')} moved to {MAIN}"
    return visit.go(_LIST, f"Feed {name} was removed; {moved}.")


def _removable(visit: Visit) -> dict[str, Any]:
    """The feed that the visit is about, with its numbers.

    Raises:
        NotFound: there is none.
        InvalidValue: it is ``main``.
    """
    name = feeds.get(visit.text("name")).name
    feeds.check_removable(name)
    return next(row for row in _with_counts(visit) if row["name"] == name)


def _with_counts(visit: Visit) -> list[dict[str, Any]]:
    """Feeds, with their numbers of ``keys`` and ``servers``."""
    keys, servers = Counter[str](), Counter[str]()
    for key in queries.keys(visit.portal):
        keys[key["feed"]] += 1
        servers[key["feed"]] += key["servers"]
    return [
        {**feed, "keys": keys[feed["name"]], "servers": servers[feed["name"]]}
        for feed in queries.feeds()
    ]


def _values(filled: _Filled) -> dict[str, Any]:
    return {
        "auto": filled.auto,
        "deploy_after": filled.deploy_after,
        "channel": filled.channel,
    }


def _form(visit: Visit, title: str, form: Form, exists: bool = False) -> Response:
    return visit.page(
        "feed.html", title=title, form=form, exists=exists, channels=CHANNELS, main=MAIN
    )


VIEWS = (
    View("GET", _LIST, Access.READER, show),
    View("GET", "/feeds/add", Access.ADMIN, add_form),
    View("POST", "/feeds/add", Access.ADMIN, add),
    View("GET", "/feeds/edit", Access.ADMIN, edit_form),
    View("POST", "/feeds/edit", Access.ADMIN, edit),
    View("GET", "/feeds/remove", Access.ADMIN, ask_remove),
    View("POST", "/feeds/remove", Access.ADMIN, remove),
)
