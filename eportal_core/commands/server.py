"""``kc.eportal server``: list servers, remove them, clean inactive ones."""

from __future__ import annotations

import click

from eportal_core import queries
from eportal_core.commands.listing import json_option, listing_group, print_json, print_table, show
from eportal_core.commands.session import pass_portal
from eportal_core.counting import counted
from eportal_core.operations import servers
from eportal_core.portal import Portal

_COLUMNS = {
    "id": "Id",
    "hostname": "Hostname",
    "ip": "IP",
    "key": "Key",
    "feed": "Feed",
    "checkin": "Check-in",
    "patchset": "Patchset",
    "patch_level": "Level",
    "tags": "Tags",
    "clones": "Clones",
}
#: As documented: keys are shown in a column this wide.
_KEY_WIDTH = 32


server_command = listing_group(
    "server",
    help="list registered servers by default",
    short_help="manage servers",
)


@server_command.command("list", short_help="list registered servers")
@json_option
@pass_portal
def list_command(portal: Portal, as_json: bool) -> None:
    """list registered servers; Clones names machines that share a server id"""
    rows = queries.servers()
    if as_json:
        print_json(list(rows))
        return
    # Nobody reads microseconds in a table.
    show(({**row, "checkin": (row["checkin"] or "never")[:19]} for row in rows), _COLUMNS)


@server_command.command("clean", short_help="remove servers that are gone")
@click.option(
    "--inactive",
    is_flag=True,
    required=True,
    expose_value=False,
    help="remove servers inactive for more than 30 days (INACTIVE_SERVER_AGE)",
)
@pass_portal
def clean_command(portal: Portal) -> None:
    """remove servers that are gone"""
    click.echo(f"{counted(servers.clean_inactive(portal), 'server was', 'servers were')} deleted")


@server_command.command("delete", short_help="remove one server")
@click.argument("server_id", help="server id")
@pass_portal
def delete_command(portal: Portal, server_id: str) -> None:
    """remove one server; its agent has to register again"""
    servers.unregister(portal, server_id)
    click.echo("1 server was deleted")


def list_servers(portal: Portal) -> None:
    """``kc.eportal --list-servers``: how many servers each key has."""
    print_table(("Count", "Key"), queries.servers_by_key(), (5, _KEY_WIDTH))
