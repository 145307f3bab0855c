"""``kc.eportal config``: every setting, its value, where it came from and what it means."""

from __future__ import annotations

import textwrap

import click

from eportal_core.commands.listing import json_option, print_json
from eportal_core.commands.session import Session, pass_session
from eportal_core.commands.usage import Command


@click.command(
    "config",
    cls=Command,
    help="show every setting, its value, where it came from and what it means",
    short_help="show the settings",
)
@json_option
@pass_session
def config_command(session: Session, as_json: bool) -> None:
    values = session.config.values()
    if as_json:
        print_json(
            [
                {
                    "name": value.setting.name,
                    "value": value.shown(),
                    "source": value.source,
                    "owner": value.owner,
                    "help": value.setting.help,
                }
                for value in values
            ]
        )
        return
    for value in values:
        click.echo(f"{value.setting.name} = {value.shown()}  # {value.source}")
        click.echo(textwrap.indent(textwrap.fill(value.setting.help, 90), "    "))
