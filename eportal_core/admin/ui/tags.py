"""``/admin/tags``: the tags of servers: how many have each, assign, rename, remove."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from eportal_core.admin.api.operation import Access
from eportal_core.admin.ui.addresses import url
from eportal_core.admin.ui.counting import capital, counted
from eportal_core.admin.ui.server_query import Query
from eportal_core.admin.ui.servers_selected import Selected
from eportal_core.admin.ui.tasks import in_steps
from eportal_core.admin.ui.visit import Form, View, Visit
from eportal_core.errors import InvalidValue, NotFound, PortalError
from eportal_core.operations import many_servers
from eportal_core.operations.names import told
from eportal_core.queries import tags
from eportal_core.queries.named_servers import named

_LIST = "/tags"
_PAGE_LENGTH = 100


def show(visit: Visit) -> Response:
    search, after, before = (visit.text(name) for name in ("search", "after", "before"))
    page = tags.page(_PAGE_LENGTH, search=search, after=after, before=before)
    around: dict[str, Any] = {
        "previous": url(_LIST, search=search, before=page.tags[0].tag)
        if page.tags and page.has_before
        else None,
        "next": url(_LIST, search=search, after=page.tags[-1].tag)
        if page.tags and page.has_after
        else None,
    }
    return visit.page(
        "tags.html",
        title="Server tags",
        tags=page.tags,
        search=search,
        any=tags.any_tags(),
        **around,
    )


def assign_form(visit: Visit) -> Response:
    return _assign_form(visit, Form({"tags": visit.text("tag")}))


def assign(visit: Visit) -> Response:
    """Tags servers that are named, each on a line."""
    try:
        names = many_servers.some_tags(visit.text("tags"))
        lines = [line.strip() for line in visit.text("servers").splitlines() if line.strip()]
        ids = _named(lines)
    except PortalError as error:
        return _assign_form(visit, visit.typed(error))
    shown = ", ".join(names)
    return in_steps(
        visit,
        "Servers are tagged",
        len(ids),
        _LIST,
        lambda count: f"{capital(counted(count, 'server'))} tagged {shown}.",
        many_servers.tagging(visit.portal, many_servers.in_lots(ids), names),
    )


def rename_form(visit: Visit) -> Response:
    name = _known(visit)
    return _rename_form(visit, name, Form({"name": name}))


def rename(visit: Visit) -> Response:
    name = _known(visit)
    try:
        after = many_servers.one_tag(visit.text("name"))
        if after == name:
            raise InvalidValue("It has this name already.")
    except PortalError as error:
        return _rename_form(visit, name, visit.typed(error))
    return in_steps(
        visit,
        f"Tag {name} is renamed",
        tags.servers_with(name),
        _LIST,
        lambda count: f"Tag {name} of {counted(count, 'server')} is {after} now.",
        many_servers.renaming(visit.portal, _having(visit, name).lots(), name, after),
    )


def ask_remove(visit: Visit) -> Response:
    name = _known(visit)
    count = tags.servers_with(name)
    loses = [
        f"It will be taken from {counted(count, 'server')}; the servers stay.",
        "An agent that was told the tag on its server sends it again with its next check-in.",
    ]
    return visit.confirm(f"Remove tag {name}?", loses, "Remove", url(_LIST), tag=name)


def remove(visit: Visit) -> Response:
    name = _known(visit)
    return in_steps(
        visit,
        f"Tag {name} is removed",
        tags.servers_with(name),
        _LIST,
        lambda count: f"Tag {name} was removed from {counted(count, 'server')}.",
        many_servers.untagging(visit.portal, _having(visit, name).lots(), [name]),
    )


def _known(visit: Visit) -> str:
    """The tag that the visit is about. Raises: NotFound: no server has it."""
    name = visit.text("tag")
    if not tags.servers_with(name):
        raise NotFound(f"No server has the tag {told(name)}.")
    return name


def _having(visit: Visit, tag: str) -> Selected:
    return Selected(visit, Query({"tag": [tag]}), (), True)


def _named(lines: Sequence[str]) -> list[str]:
    if not lines:
        raise InvalidValue("Name at least one server.")
    found, missing = named(lines)
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise InvalidValue(f"There is no server {', '.join(map(told, missing[:5]))}{more}.")
    return found


def _assign_form(visit: Visit, form: Form) -> Response:
    return visit.page("tags_assign.html", title="Assign tags", form=form)


def _rename_form(visit: Visit, name: str, form: Form) -> Response:
    return visit.page(
        "tags_rename.html",
        title=f"Rename tag {name}",
        tag=name,
        count=tags.servers_with(name),
        form=form,
    )


VIEWS = (
    View("GET", _LIST, Access.READER, show),
    View("GET", "/tags/assign", Access.ADMIN, assign_form),
    View("POST", "/tags/assign", Access.ADMIN, assign),
    View("GET", "/tags/rename", Access.ADMIN, rename_form),
    View("POST", "/tags/rename", Access.ADMIN, rename),
    View("GET", "/tags/remove", Access.ADMIN, ask_remove),
    View("POST", "/tags/remove", Access.ADMIN, remove),
)
