"""``/admin/log``: who changed what, in words, and whether the log is whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import Annotated, Any

import msgspec
from starlette.responses import Response, StreamingResponse

from eportal_core import db, user_log
from eportal_core.admin.api.log import Entry
from eportal_core.admin.api.operation import Access
from eportal_core.admin.csv import csv_of
from eportal_core.admin.tasks import tasks
from eportal_core.admin.ui.addresses import url
from eportal_core.admin.ui.counting import capital, counted
from eportal_core.admin.ui.log_words import kinds, told
from eportal_core.admin.ui.tasks import ended_or_shown
from eportal_core.admin.ui.visit import Form, View, Visit
from eportal_core.errors import InvalidValue, PortalError

Row = dict[str, Any]
_PATH = "/log"
#: Lines of a page, the entries that are read for them at most, and how many of one stroke are a
#: line of their own.
_SHOWN, _READ, _MANY = 50, 500, 5
#: So many are read at once for a file; whoever takes it slowly keeps no connection meanwhile.
_PIECE = 1000
_FILTERS = ("user", "table", "key", "since", "until")


class _From(msgspec.Struct, frozen=True):
    """The newest entry of a page comes before this one."""

    before: Annotated[int, msgspec.Meta(ge=1, le=2**53)] | None = None


class _Line(msgspec.Struct, frozen=True):
    """A line of the CSV: an ``Entry``, of which ``changed`` is JSON."""

    sequence: int
    time: str
    actor: str
    source: str
    means: str
    action: str
    table: str
    key: str
    changed: str


def show(visit: Visit) -> Response:
    typed = {name: visit.text(name).strip() for name in _FILTERS}
    lines: list[list[Row]] = []
    error = ""
    try:
        lines = list(islice(_lines(user_log.entries(_wanted(visit), _READ)), _SHOWN + 1))
    except InvalidValue as refused:
        error = str(refused)
    shown = lines[:_SHOWN]
    is_more = len(lines) > _SHOWN or sum(map(len, lines)) >= _READ
    older = url(_PATH, **typed, before=shown[-1][-1]["sequence"]) if is_more else None
    return visit.page(
        "log.html",
        title="User log",
        form=Form(typed, error),
        filtered=any(typed.values()),
        lines=[[(row, told(row)) for row in line] for line in shown],
        kinds=kinds(),
        newest=url(_PATH, **typed) if visit.text("before") else None,
        older=older,
        csv=url(f"{_PATH}/export", **typed, form="csv"),
        json=url(f"{_PATH}/export", **typed, form="json"),
    )


def _lines(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The entries of each line: one, or many different things that changed at one stroke."""
    for _, found in groupby(rows, _stroke):
        alike = list(found)
        if len(alike) >= _MANY and len({row["key"] for row in alike}) == len(alike):
            yield alike
        else:
            yield from ([row] for row in alike)


def _stroke(row: Row) -> tuple[str, ...]:
    """The same for what somebody did to things of one kind within a minute."""
    who = (row["actor"], row["source"], row["means"])
    return (*who, row["action"], row["table"], row["time"][: len("2026-11-22 09:30")])


def export(visit: Visit) -> Response:
    """All entries that meet the filters, as a file; the newest first."""
    pieces = visit.while_admitted(_pieces(replace(_wanted(visit), before=None)))
    match visit.text("form"):
        case "csv":
            lines = ([_line(row) for row in piece] for piece in pieces)
            return _file(csv_of(_Line, lines), "text/csv; charset=utf-8", "csv")
        case "json":
            return _file(_json(pieces), "application/json", "json")
    raise InvalidValue("The log is given as csv or json.")


def verify(visit: Visit) -> Response:
    """Compute the digests again; in the background, as a long log takes its time."""
    expected = visit.text("expect").strip()
    title = "Checking the user log"
    return ended_or_shown(visit, tasks.start(visit.user, title, _PATH, lambda: _verified(expected)))


def _verified(expected: str) -> str:
    found = user_log.verify(expected)
    if found.broken is not None:
        raise PortalError(
            f"Entry {found.broken} of the log is not what was written, or one before it is gone."
        )
    whole = f"{capital(counted(found.entries, 'entry', 'entries'))} of the log "
    whole += "is whole" if found.entries == 1 else "are whole"
    older = f", and {found.older} that are older than digests" if found.older else ""
    return f"{whole}{older}. The last digest is {found.head or 'none'}."


def _wanted(visit: Visit) -> user_log.Filter:
    return user_log.Filter(
        visit.text("user").strip(),
        visit.text("table"),
        visit.text("key").strip(),
        _moment(visit, "since"),
        _moment(visit, "until"),
        visit.arguments(_From).before,
    )


def _moment(visit: Visit, name: str) -> datetime | None:
    """UTC, unless it says otherwise; browsers leave seconds out.

    Raises:
        InvalidValue: it is no time.
    """
    text = visit.text(name).strip()
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise InvalidValue(f"{name} must be a time such as 2026-11-22T09:30.") from None
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found


def _pieces(wanted: user_log.Filter) -> Iterator[list[Row]]:
    while True:
        with db.connection():
            piece = list(user_log.entries(wanted, _PIECE))
        if piece:
            yield piece
        if len(piece) < _PIECE:
            return
        wanted = replace(wanted, before=piece[-1]["sequence"])


def _line(row: Row) -> _Line:
    return _Line(**{**row, "changed": msgspec.json.encode(row["changed"]).decode()})


def _json(pieces: Iterator[list[Row]]) -> Iterator[bytes]:
    """An array of ``Entry``, one a line."""
    lead = b"[\n"
    for piece in pieces:
        for row in piece:
            yield lead + msgspec.json.encode(msgspec.convert(row, Entry))
            lead = b",\n"
    yield b"[]\n" if lead == b"[\n" else b"\n]\n"


def _file(content: Iterator[bytes], kind: str, ending: str) -> Response:
    name = f'attachment; filename="user-log.{ending}"'
    return StreamingResponse(content, media_type=kind, headers={"Content-Disposition": name})


VIEWS = (
    View("GET", _PATH, Access.READER, show),
    View("GET", f"{_PATH}/export", Access.READER, export),
    View("POST", f"{_PATH}/verify", Access.READER, verify),
)
