"""Commands whose help and errors look as the documentation of ``kc.eportal`` shows them.

The documented texts are argparse's, so argparse formats them: each click command describes itself
to a parser that only ever prints.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import click

from eportal_core.errors import PortalError

_HELP = "show this help message and exit"


class _Described(click.Command):
    """Prints usage and help as argparse does."""

    def get_usage(self, ctx: click.Context) -> str:
        return self.describe(ctx).format_usage().rstrip()

    def get_help(self, ctx: click.Context) -> str:
        return self.describe(ctx).format_help().rstrip()

    def describe(self, ctx: click.Context) -> argparse.ArgumentParser:
        parser = argparse.ArgumentParser(
            prog=ctx.command_path,
            description=self.help,
            epilog=self.epilog,
            add_help=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        positionals = parser.add_argument_group("positional arguments")
        options = parser.add_argument_group("optional arguments")
        options.add_argument("-h", "--help", action="store_true", help=_HELP)
        for parameter in self.params:
            if isinstance(parameter, click.Option):
                _add_option(options, ctx, parameter)
            elif isinstance(parameter, click.Argument):
                _add_positional(positionals, parameter)
        return parser


class Command(_Described):
    """A command in the documented style."""


class Group(_Described, click.Group):
    """A group of commands in the documented style."""

    command_class = Command
    group_class = type

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # A group alone is told what is missing, as argparse does.
        super().__init__(*arguments, **{"no_args_is_help": False, **options})

    def describe(self, ctx: click.Context) -> argparse.ArgumentParser:
        parser = super().describe(ctx)
        usage = parser.format_usage().removeprefix("usage: ").rstrip()
        indent = " " * len(f"usage: {ctx.command_path} ")
        parser.usage = f"{usage}\n{indent}command ..." if "\n" in usage else f"{usage} command ..."
        commands = parser.add_argument_group("commands")
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                commands.add_argument(name, nargs="?", help=_escaped(command.short_help or ""))
        return parser


def show_error(error: click.ClickException | PortalError, prog: str) -> int:
    """Print the error as argparse would, to standard error; returns the exit code."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        print(context.command.get_usage(context), file=sys.stderr)
    message = error.format_message() if isinstance(error, click.ClickException) else error.in_full
    path = context.command_path if context else prog
    print(f"{path}: error: {message}", file=sys.stderr)
    return error.exit_code


def _add_option(group: argparse._ArgumentGroup, ctx: click.Context, option: click.Option) -> None:
    if option.hidden:
        return
    help_text = _escaped(option.help or "")
    if option.is_flag:
        group.add_argument(
            *option.opts, action="store_true", required=option.required, help=help_text
        )
        return
    choices = option.type.choices if isinstance(option.type, click.Choice) else None
    group.add_argument(
        *option.opts,
        metavar=option.metavar,
        choices=choices,
        required=option.required,
        help=help_text,
    )


def _add_positional(group: argparse._ArgumentGroup, argument: click.Argument) -> None:
    nargs: str | None = None if argument.required else "?"
    if argument.nargs == -1:
        nargs = "+" if argument.required else "*"
    group.add_argument(str(argument.name), nargs=nargs, help=_escaped(argument.help or ""))


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
