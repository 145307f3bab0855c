"""``kc.eportal log``: who changed what, and whether the log is whole."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click
import msgspec

from eportal_core import user_log
from eportal_core.admin.csv import harmless
from eportal_core.commands.listing import json_option, print_json, show
from eportal_core.commands.session import pass_portal
from eportal_core.commands.usage import Group
from eportal_core.counting import counted
from eportal_core.errors import PortalError
from eportal_core.portal import Portal

_COLUMNS = {
    "time": "Time (UTC)",
    "actor": "Who",
    "source": "From",
    "means": "By",
    "what": "What",
    "told": "Change",
}
_SHOWN = 50
#: So much of a change is shown in a table, characters.
_TOLD_MAX = 100


def _moment(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
    return user_log.moment(text or "", parameter.opts[0])


@click.group(
    "log",
    cls=Group,
    invoke_without_command=True,
    help="show who changed what, the latest first",
    short_help="show who changed what",
)
@click.option("--user", default="", help="changes of this user")
@click.option("--table", default="", help="changes of this kind of thing: feed, key, server, …")
@click.option("--key", default="", help="changes of this one, as the log names it")
@click.option("--since", callback=_moment, metavar="TIME", help="from this time on, UTC")
@click.option("--until", callback=_moment, metavar="TIME", help="before this time, UTC")
@click.option("--limit", type=click.IntRange(0), default=_SHOWN, help="so many; 0 is all")
@click.option("--csv", "as_csv", is_flag=True, help="print CSV")
@json_option
@click.pass_context
def log_command(
    context: click.Context,
    user: str,
    table: str,
    key: str,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_csv: bool,
    as_json: bool,
) -> None:
    if context.invoked_subcommand is not None:
        return
    wanted = user_log.Filter(user, table, key, since, until)
    _print(wanted, limit or None, as_csv=as_csv, as_json=as_json)


@log_command.command(
    "verify",
    help="compute the digests of the log again; fails when an entry is not what was written",
    short_help="check that nobody edited the log",
)
@click.option(
    "--expect",
    default="",
    metavar="DIGEST",
    help="a digest that verify told earlier, to see that nothing was cut off since",
)
@pass_portal
def verify_command(portal: Portal, expect: str) -> None:
    found = user_log.verify(expect)
    if found.broken is not None:
        raise PortalError(
            f"Entry {found.broken} of the log is not what was written, or one before it is gone."
        )
    older = f", and {found.older} that are older than digests" if found.older else ""
    click.echo(f"{counted(found.entries, 'entry is', 'entries are')} whole{older}")
    click.echo(f"The last digest is {found.head or 'none'}")


@pass_portal
def _print(
    portal: Portal, wanted: user_log.Filter, limit: int | None, *, as_csv: bool, as_json: bool
) -> None:
    rows = user_log.entries(wanted, limit)
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(user_log.FIELDS)
        for row in rows:
            writer.writerow([_cell(row[name]) for name in user_log.FIELDS])
    elif as_json:
        print_json(list(rows))
    else:
        show(
            (
                {
                    **row,
                    "time": row["time"][:19],
                    "what": f"{row['table']} {row['key']} {row['action']}",
                    "told": _told(row),
                }
                for row in rows
            ),
            _COLUMNS,
        )


def _told(row: Mapping[str, Any]) -> str:
    """What changed, in a line: of a change only; what was added or removed is named already."""
    if row["action"] != "changed":
        return ""
    parts = (f"{name}: {old!r} → {new!r}" for name, (old, new) in row["changed"].items())
    text = ", ".join(parts)
    return text if len(text) <= _TOLD_MAX else f"{text[: _TOLD_MAX - 1]}…"


def _cell(value: object) -> object:
    return harmless(value if isinstance(value, str) else msgspec.json.encode(value).decode())
