"""``kc.eportal`` itself, and the old options that are whole commands (``--list-servers``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from eportal_core.commands.usage import Group

_ACTIONS = "eportal.actions"


def root_command() -> Group:
    """The group that everything is added to; alone, it prints its help."""

    @click.group(
        "kc.eportal",
        cls=Group,
        invoke_without_command=True,
        help="ePortal, the live patch server behind the firewall",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    @click.pass_context
    def root(context: click.Context, /, **options: Any) -> None:
        actions: list[Callable[[], None]] = context.meta.get(_ACTIONS, [])
        if context.invoked_subcommand is not None and actions:
            raise click.UsageError("an old option stands alone, without a command", context)
        for action in actions:
            action()
        if context.invoked_subcommand is None and not actions:
            click.echo(context.get_help())

    assert isinstance(root, Group)
    return root


def add_action(
    cli: click.Group,
    flag: str,
    action: Callable[..., None],
    metavar: str | None,
    summary: str,
) -> None:
    """An option of ``kc.eportal`` that is a whole command; with ``metavar`` it takes a value."""

    def call(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value not in (None, False):
            arguments = [] if metavar is None else [value]
            context.meta.setdefault(_ACTIONS, []).append(lambda: action(*arguments))

    cli.params.append(
        click.Option(
            [flag],
            metavar=metavar,
            # Not False: that would let the value be left out.
            is_flag=True if metavar is None else None,
            help=summary,
            callback=call,
            expose_value=False,
        )
    )
