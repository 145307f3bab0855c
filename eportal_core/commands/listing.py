"""Listings: a table for people, ``--json`` for programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import click
import msgspec

from eportal_core.commands.usage import Group

_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
#: The option of every command that lists something, its argument ``as_json``.
json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="print JSON"
)


def listing_group(name: str, **texts: str) -> Group:
    """A group whose command ``list`` is done by default; ``texts``: its help and short_help."""

    @click.group(name, cls=Group, invoke_without_command=True, **texts)
    @json_option
    @click.pass_context
    def group(context: click.Context, as_json: bool) -> None:
        if context.invoked_subcommand is None:
            context.invoke(group.commands["list"], as_json=as_json)
        elif as_json:
            raise click.UsageError(f"argument --json: write it after {context.invoked_subcommand}")

    return group


def show(
    rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str], as_json: bool = False
) -> None:
    """Print ``rows``; ``columns`` maps a key of the row to the table's heading."""
    if as_json:
        print_json(list(rows))
        return
    cells = [[_cell(row[key]) for key in columns] for row in rows]
    print_table(list(columns.values()), cells)


def print_json(value: Any) -> None:
    """Print ``value`` as indented JSON of ASCII characters alone."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    # Readable by any program, whatever the encoding of this terminal.
    sys.stdout.write(_NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text) + "\n")


def print_table(
    headings: Sequence[str], rows: Sequence[Sequence[str | int]], widths: Sequence[int] = ()
) -> None:
    """A table as documented: ``Count | Key`` over ``----- + ---``, numbers to the right.

    widths: of each column at least, in characters.
    """
    least = widths or [0] * len(headings)
    sizes = [
        max(width, len(heading), *(len(str(row[column])) for row in rows), 0)
        for column, (heading, width) in enumerate(zip(headings, least, strict=True))
    ]
    lines = [
        " | ".join(h.ljust(size) for h, size in zip(headings, sizes, strict=True)).rstrip(),
        " + ".join("-" * size for size in sizes),
        *(
            " | ".join(
                str(cell).rjust(size) if isinstance(cell, int) else cell.ljust(size)
                for cell, size in zip(row, sizes, strict=True)
            ).rstrip()
            for row in rows
        ),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _cell(value: Any) -> str | int:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return value
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
