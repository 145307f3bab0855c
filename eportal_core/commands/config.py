"""``kc.eportal config``: every setting, its value and where it came from; runtime settings set."""

from __future__ import annotations

import sys
import textwrap

import click

from eportal_core.commands.listing import json_option, print_json
from eportal_core.commands.secret import FROM_INPUT, read_secret
from eportal_core.commands.session import pass_portal, session
from eportal_core.commands.usage import Group
from eportal_core.config import Config
from eportal_core.operations import settings
from eportal_core.portal import Portal


@click.group(
    "config",
    cls=Group,
    invoke_without_command=True,
    help="show every setting, its value, where it came from and what it means",
    short_help="show the settings, set runtime settings",
)
@json_option
@click.pass_context
def config_command(context: click.Context, as_json: bool) -> None:
    if context.invoked_subcommand is None:
        _show(session().config, as_json)
    elif as_json:
        raise click.UsageError("argument --json: not allowed with a command", context)


@config_command.command(
    "set",
    help="set a runtime setting; running processes see it within seconds",
    short_help="set a runtime setting",
)
@click.argument("name", help="name of the setting")
@click.argument(
    "value",
    required=False,
    help="value as in the environment; - reads it from standard input; without one, a terminal is "
    "asked for it and does not show it",
)
@pass_portal
def set_command(portal: Portal, name: str, value: str | None) -> None:
    if value is None and not sys.stdin.isatty():
        raise click.UsageError("the following arguments are required: value")
    given = read_secret(name) if value in (None, FROM_INPUT) else value
    settings.put(portal, name, given)
    _show_one(portal.config, name)


@config_command.command(
    "unset", help="forget what config set has set", short_help="unset a runtime setting"
)
@click.argument("name", help="name of the setting")
@pass_portal
def unset_command(portal: Portal, name: str) -> None:
    settings.drop(portal, name)
    _show_one(portal.config, name)


def _show(config: Config, as_json: bool) -> None:
    values = config.values()
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
        _show_one(config, value.setting.name)
        click.echo(textwrap.indent(textwrap.fill(value.setting.help, 90), "    "))


def _show_one(config: Config, name: str) -> None:
    """The value that counts, which need not be the one that was just set, and why it does."""
    value = config.value(name)
    click.echo(f"{name} = {value.shown()}  # {value.source}")
