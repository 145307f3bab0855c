"""``/admin/api/servers``: find servers, tag, move and remove them."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

import msgspec
from starlette.responses import Response, StreamingResponse

from eportal_core.admin.api.operation import Access, Call, Operation
from eportal_core.admin.csv import csv_of, wants_csv
from eportal_core.errors import Forbidden, InvalidValue, NotFound
from eportal_core.models import Key
from eportal_core.operations import servers
from eportal_core.operations.servers import Among
from eportal_core.queries import server_pages, server_rows
from eportal_core.queries.server_filter import Age, ServerFilter
from eportal_core.queries.server_pages import Listing
from eportal_core.queries.server_rows import ServerDetails, ServerShown

#: Most servers on one page.
PAGE_MAX = 10_000
#: Servers of one piece of a CSV answer, and of one transaction that removes.
_PIECE = 1000
_LOT = 200

_AGES = ("registered_age", "checkin_age", "updated_age")
#: Filters that are the same here and in the query.
_PLAIN = {
    *("hostname", "ip", "feed", "key", "tag", "product", "kernel_id", "distro", "virt"),
    *("machine", "release", "euname", "unknown", "patchset", "search"),
    *("is_updated", "behind", "active", "state", "uptime_min", "uptime_max"),
}
SortName = Literal["registered", "checkin", "updated", "hostname", "ip", "id", "key", "distro"]


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Servers that meet all that is given; docs/api.md tells what each means."""

    hostname: str = ""
    ip: str = ""
    service_id: str = ""
    server_id: str = ""
    id: list[str] = []
    feed: str = ""
    key: str = ""
    tag: str = ""
    product: str = ""
    kernel_id: str = ""
    distro: str = ""
    virt: str = ""
    machine: str = ""
    release: str = ""
    euname: str = ""
    unknown: str = ""
    patchset: str = ""
    search: str = ""
    registered_age: str | int = ""
    checkin_age: str | int = ""
    updated_age: str | int = ""
    is_updated: bool | None = None
    behind: int | None = None
    active: bool | None = None
    state: Literal["", "uptodate", "outofdate", "unsupported", "inactive"] = ""
    uptime_min: int | None = None
    uptime_max: int | None = None


class ListArguments(Filters, frozen=True, kw_only=True):
    """Filters, and which part of the list; ``cursor`` is the one that the page before had."""

    limit: Annotated[int, msgspec.Meta(ge=0, le=PAGE_MAX)] = 10
    offset: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 0
    cursor: str = ""
    only_count: bool = False
    sort: SortName = "registered"
    order: Literal["asc", "desc"] = "asc"


class ServerList(msgspec.Struct, frozen=True):
    """count: servers in the whole list. cursor: of the next page, null on the last one."""

    count: int
    limit: int
    offset: int
    result: list[ServerShown]
    cursor: str | None


class Count(msgspec.Struct, frozen=True):
    """How many servers there are, when nothing else was asked for."""

    count: int


class Done(msgspec.Struct, frozen=True):
    """result: of how many servers it was done."""

    result: int


class OneServer(msgspec.Struct, frozen=True):
    server_id: str


class DeleteArguments(msgspec.Struct, frozen=True):
    """At least one of these; a server meets all that are given."""

    hostname: str = ""
    ip: str = ""
    server_id: str = ""


class TagsArguments(msgspec.Struct, frozen=True):
    """tags: separated by ``;``; none given removes all."""

    server_id: str
    tags: str | None = None


class TagSeveral(msgspec.Struct, frozen=True):
    """Either ``tags``, which replace those that were, or tags to ``add`` and to ``remove``."""

    id: list[str]
    tags: str | None = None
    add: str = ""
    remove: str = ""


class MoveArguments(msgspec.Struct, frozen=True):
    id: list[str]
    key: str


def list_servers(call: Call, arguments: ListArguments) -> ServerList | Count | Response:
    """Servers that meet all filters, a page of them.

    With ``only_count`` only how many there are. With ``Accept: text/csv`` all of them, without
    pages.
    """
    listing = Listing(
        call.portal, wanted_of(call, arguments), arguments.sort, arguments.order == "desc"
    )
    if arguments.only_count:
        return Count(server_pages.count(listing))
    if wants_csv(call.request):
        pieces = server_rows.exported(listing, _PIECE)
        return StreamingResponse(
            csv_of(ServerShown, pieces),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="servers.csv"'},
        )
    if arguments.cursor and arguments.offset:
        raise InvalidValue("Send a cursor or an offset, not both.")
    page = server_pages.page(listing, arguments.limit, arguments.offset, arguments.cursor)
    shown = server_rows.shown(page.numbers)
    return ServerList(page.count, arguments.limit, arguments.offset, shown, page.cursor)


def show_server(call: Call, arguments: OneServer) -> ServerDetails:
    """One server, with the latest level that it could run."""
    wanted = _permitted(call, ServerFilter(ids=[arguments.server_id]))
    numbers = server_pages.page(Listing(call.portal, wanted), 1).numbers
    found = server_rows.detailed(call.portal, numbers[0]) if numbers else None
    if found is None:
        raise NotFound("There is no server with this id.")
    return found


def delete_server(call: Call, arguments: DeleteArguments) -> Done:
    """Remove the servers of a host name, an address or an id."""
    return Done(
        servers.delete(
            call.portal,
            hostname=arguments.hostname,
            ip=arguments.ip,
            server_id=arguments.server_id,
            among=_among(call),
        )
    )


def delete_one_server(call: Call, arguments: OneServer) -> Done:
    """Remove one server."""
    return Done(servers.delete(call.portal, server_id=arguments.server_id, among=_among(call)))


def delete_servers(call: Call, arguments: Filters) -> Done:
    """Remove all servers that meet the filters, of which there is one at least.

    ``checkin_age`` is one day or more, so that none goes that is only late.
    """
    wanted = wanted_of(call, arguments)
    if wanted.is_of_all(call.portal):
        raise InvalidValue("Name at least one filter; without any, all servers would go.")
    silent = wanted.checkin_age
    if silent is not None and (silent.at_most or silent.length.days < 1):
        raise InvalidValue("checkin_age: one day or more, to remove servers by it.")
    listing = Listing(call.portal, wanted, "checkin" if silent else "registered")

    def find() -> list[str]:
        return server_rows.ids(server_pages.page(listing, _LOT).numbers)

    return Done(servers.delete_found(call.portal, find, _among(call)))


def set_tags(call: Call, arguments: TagsArguments) -> Done:
    """Replace the tags of a server."""
    text = arguments.tags or ""
    changed = servers.change_tags(
        call.portal, [arguments.server_id], lambda before: text, _among(call)
    )
    if not changed:
        raise NotFound("There is no server with this id.")
    return Done(changed)


def tag_servers(call: Call, arguments: TagSeveral) -> Done:
    """Tag several servers."""
    if arguments.tags is None and not arguments.add and not arguments.remove:
        raise InvalidValue("Name tags, add or remove.")

    def change(before: str) -> str:
        kept = before if arguments.tags is None else arguments.tags
        removed = {part.strip() for part in arguments.remove.split(";")}
        return ";".join(
            part for part in f"{kept};{arguments.add}".split(";") if part.strip() not in removed
        )

    _check_ids(arguments.id)
    return Done(servers.change_tags(call.portal, arguments.id, change, _among(call)))


def move_servers(call: Call, arguments: MoveArguments) -> Done:
    """Give several servers another key, and so its feed and its products."""
    _check_ids(arguments.id)
    among = _among(call)
    key = Key.get_or_none(key=arguments.key)
    if key is not None and among.feeds is not None:
        call.check_feed(key.feed_id)
    if among.products is not None and arguments.key not in servers.keys_with(
        call.portal, among.products
    ):
        raise Forbidden("This API key is not for the products of that key.")
    return Done(servers.move(call.portal, arguments.id, arguments.key, among))


def wanted_of(call: Call, arguments: Filters) -> ServerFilter:
    """What the arguments ask for, of the servers that the caller may see.

    Raises:
        InvalidValue: an age is none.
    """
    given: dict[str, Any] = msgspec.structs.asdict(arguments)
    wanted = {name: value for name, value in given.items() if name in _PLAIN}
    for name in _AGES:
        text = str(given[name]).strip()
        wanted[name] = Age.of(text, name) if text else None
    ids = [*arguments.id, arguments.server_id, arguments.service_id]
    wanted["ids"] = [each for each in ids if each]
    return _permitted(call, ServerFilter(**wanted))


def _permitted(call: Call, wanted: ServerFilter) -> ServerFilter:
    return replace(wanted, feeds=call.user.feeds, products=call.user.products)


def _among(call: Call) -> Among:
    """The servers that the caller may see and change."""
    return Among(call.user.feeds, call.user.products)


def _check_ids(ids: list[str]) -> None:
    if len(ids) > PAGE_MAX:
        raise InvalidValue(f"id: {PAGE_MAX} at most in one call.")


OPERATIONS = (
    Operation("GET", "/admin/api/servers", Access.READER, list_servers, limited=True),
    Operation("GET", "/admin/api/servers/{server_id}", Access.READER, show_server, limited=True),
    Operation("DELETE", "/admin/api/servers", Access.ADMIN, delete_servers, limited=True),
    Operation(
        "DELETE", "/admin/api/servers/{server_id}", Access.ADMIN, delete_one_server, limited=True
    ),
    Operation("POST", "/admin/api/delete_server", Access.ADMIN, delete_server, limited=True),
    Operation("POST", "/admin/api/set_tags", Access.ADMIN, set_tags, limited=True),
    Operation("POST", "/admin/api/servers/tags", Access.ADMIN, tag_servers, limited=True),
    Operation("POST", "/admin/api/servers/move", Access.ADMIN, move_servers, limited=True),
)
