"""What is done with selected servers: tag, untag, move to another key, delete. Each asks first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from eportal_core import queries
from eportal_core.admin.api.operation import Access
from eportal_core.admin.ui.counting import capital, counted
from eportal_core.admin.ui.server_query import LIST, Query
from eportal_core.admin.ui.tasks import in_steps
from eportal_core.admin.ui.visit import Form, View, Visit
from eportal_core.errors import InvalidValue, PortalError
from eportal_core.operations import many_servers, servers
from eportal_core.operations.many_servers import Lots
from eportal_core.queries import server_pages, server_rows, tags
from eportal_core.queries.server_filter import ServerFilter
from eportal_core.queries.server_pages import Listing

#: So many are named by their host names before something is done with them.
_NAMED = 10
#: Servers that are looked up at once.
_PIECE = 1000


@dataclass(frozen=True)
class Selected:
    """Servers of the list ``query``: those ticked, or all that it finds.

    listing: of them, in an order that nothing done to them changes.
    """

    visit: Visit
    query: Query
    ticked: Sequence[str]
    is_all: bool

    @staticmethod
    def of(visit: Visit) -> Selected:
        """Raises: InvalidValue: none is selected."""
        is_all = visit.text("all") == "true"
        ticked = [] if is_all else visit.texts("server")
        if not is_all and not ticked:
            raise InvalidValue("Select servers first: tick them, or all that the filter finds.")
        return Selected(visit, Query.parse(visit.text("query")), ticked, is_all)

    @property
    def listing(self) -> Listing:
        wanted = self.query.wanted(self.visit) if self.is_all else ServerFilter(ids=self.ticked)
        return Listing(self.visit.portal, wanted)

    @property
    def count(self) -> int:
        return server_pages.count(self.listing)

    @property
    def names(self) -> list[str]:
        """The host names of the first few."""
        numbers = server_pages.page(self.listing, _NAMED).numbers
        return [row.hostname for row in server_rows.shown(numbers)]

    def lots(self) -> Lots:
        """Their ids."""
        if not self.is_all:
            yield from many_servers.in_lots(self.ticked)
            return
        page = server_pages.page(self.listing, _PIECE)
        while page.numbers:
            yield from many_servers.in_lots(server_rows.ids(page.numbers))
            if page.cursor is None:
                return
            page = server_pages.page(self.listing, _PIECE, cursor=page.cursor)

    def finder(self) -> Callable[[], Sequence[str]]:
        """Finds the next lot each time, of those that are there and as the filter has it then."""
        listing, cursor = self.listing, ""
        is_over = False

        def find() -> Sequence[str]:
            nonlocal cursor, is_over
            if is_over:
                return ()
            page = server_pages.page(listing, many_servers.LOT, cursor=cursor)
            cursor, is_over = page.cursor or "", page.cursor is None
            return server_rows.ids(page.numbers)

        return find


def _asked(
    visit: Visit, template: str, title: str, button: str, form: Form, **more: Any
) -> Response:
    """The page that asks, with what is selected; ``title`` has ``{}`` for how many."""
    try:
        selected = Selected.of(visit)
        count = selected.count
    except PortalError as error:
        return _back(visit, str(error))
    if not count:
        return _back(visit, "These servers are not there any more.")
    return visit.page(
        template,
        title=title.format(counted(count, "server")),
        button=button,
        form=form,
        selected=selected,
        count=count,
        names=selected.names,
        back=selected.query.address(),
        **more,
    )


def _back(visit: Visit, told: str, kind: str = "warning") -> Response:
    answer = visit.go(LIST, told, kind)
    answer.headers["Location"] = Query.parse(visit.text("query")).address()
    return answer


def _work(
    selected: Selected, title: str, told: Callable[[int], str], steps: Iterator[int]
) -> Response:
    path = selected.query.address().removeprefix("/admin")
    return in_steps(selected.visit, title, selected.count, path, told, steps)


def _done(what: str, how: str) -> Callable[[int], str]:
    """``12 servers were tagged web.``"""
    return lambda count: capital(
        f"{counted(count, 'server')} {'was' if count == 1 else 'were'} {what}{how}."
    )


def tag(visit: Visit) -> Response:
    return _tags(visit, "tag", "tagged", many_servers.tagging)


def untag(visit: Visit) -> Response:
    return _tags(visit, "untag", "untagged", many_servers.untagging)


def _tags(
    visit: Visit, verb: str, participle: str, steps: Callable[..., Iterator[int]]
) -> Response:
    form = Form({})
    if visit.text("sure"):
        try:
            selected = Selected.of(visit)
            names = many_servers.some_tags(visit.text("tags"))
            title = f"Servers are {participle}"
            told = _done(participle, f" {', '.join(names)}")
            return _work(selected, title, told, steps(visit.portal, selected.lots(), names))
        except PortalError as error:
            form = visit.typed(error, "server")
    known = [each.tag for each in tags.page(100).tags]
    title = f"{verb.capitalize()} {{}}"
    return _asked(visit, "servers_tag.html", title, verb.capitalize(), form, verb=verb, known=known)


def move(visit: Visit) -> Response:
    form = Form({})
    if visit.text("sure"):
        try:
            selected = Selected.of(visit)
            key = many_servers.check_places(visit.text("key"), _newcomers(selected)).key
            steps = many_servers.moving(visit.portal, selected.lots(), key)
            return _work(selected, "Servers are moved", _done("moved", f" to key {key}"), steps)
        except PortalError as error:
            form = visit.typed(error, "server")
    keys = [
        (row["key"], f"{row['key']}: feed {row['feed']}, {_places(row)}")
        for row in queries.keys(visit.portal)
    ]
    return _asked(visit, "servers_move.html", "Move {} to a key", "Move", form, keys=keys)


def _newcomers(selected: Selected) -> int:
    """How many of the selected servers have not the key yet."""
    key = selected.visit.text("key")
    listing = selected.listing
    there = ServerFilter(**{**vars(listing.wanted), "key": key})
    if listing.wanted.key:
        return 0 if listing.wanted.key == key else selected.count
    return selected.count - server_pages.count(Listing(selected.visit.portal, there))


def _places(row: dict[str, object]) -> str:
    limit = row["server_limit"]
    return f"{row['servers']:,} of {limit:,} servers" if limit else f"{row['servers']:,} servers"


def remove(visit: Visit) -> Response:
    form = Form({})
    try:
        selected = Selected.of(visit)
        if selected.is_all and selected.query.wanted(visit).is_of_all(visit.portal):
            raise InvalidValue("Filter the servers first; without a filter, all of them would go.")
        told = visit.number("told")
        if visit.text("sure") and (not selected.is_all or selected.count <= told):
            steps = servers.deleting(visit.portal, selected.finder())
            return _work(selected, "Servers are deleted", _done("deleted", ""), steps)
        if visit.text("sure"):
            form = Form({}, "There are more of them by now; look at the number again.")
    except PortalError as error:
        return _back(visit, str(error), "error")
    return _asked(visit, "servers_remove.html", "Delete {}?", "Delete", form)


def _posted(path: str, function: Callable[[Visit], Response]) -> View:
    return View("POST", f"{LIST}/{path}", Access.ADMIN, function)


def _reload(visit: Visit) -> Response:
    """Somebody reloaded, or came by the history of his browser."""
    return visit.go(LIST, "Select servers first.", "warning")


VIEWS = (
    _posted("tag", tag),
    _posted("untag", untag),
    _posted("move", move),
    _posted("remove", remove),
    *(
        View("GET", f"{LIST}/{path}", Access.ADMIN, _reload)
        for path in ("tag", "untag", "move", "remove")
    ),
)
