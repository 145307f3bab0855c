"""Lists as CSV, in pieces, and harmless to whoever opens them in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from starlette.requests import Request

#: With one of these a cell begins that a spreadsheet takes for a formula.
#: Source: https://owasp.org/www-community/attacks/CSV_Injection.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff0b", "\uff0d", "\uff1d", "\uff20")


def wants_csv(request: Request) -> bool:
    """Whether the client asks for CSV by ``Accept``, and not for JSON before it."""
    kinds = [
        part.partition(";")[0].strip().lower()
        for part in request.headers.get("accept", "").split(",")
    ]
    known = [kind for kind in kinds if kind in ("text/csv", "application/json")]
    return bool(known) and known[0] == "text/csv"


def csv_of(
    kind: type[msgspec.Struct], pieces: Iterable[Sequence[msgspec.Struct]]
) -> Iterator[bytes]:
    """Rows of ``kind``, whose fields are the columns, named in the first line; RFC 4180, UTF-8."""
    names = kind.__struct_fields__
    yield _lines([names])
    for piece in pieces:
        yield _lines([[harmless(getattr(row, name)) for name in names] for row in piece])


def harmless(value: object) -> object:
    """A text that would be a formula gets an apostrophe before it, which spreadsheets hide."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _lines(rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
