"""The documented ``-a``, ``-c`` and ``-d`` of the commands that manage one kind of thing."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import wraps
from typing import Any

import click
from click.core import ParameterSource


class Action(Enum):
    LIST = ""
    ADD = "-a"
    CHANGE = "-c"
    DELETE = "-d"


def action_options(thing: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the three options; the command is called with ``action``."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def command(*args: Any, add: bool, change: bool, delete: bool, **kwargs: Any) -> None:
            given = {Action.ADD: add, Action.CHANGE: change, Action.DELETE: delete}
            chosen = [action for action, wanted in given.items() if wanted]
            if len(chosen) > 1:
                raise click.UsageError(
                    f"argument {chosen[1].value}: not allowed with argument {chosen[0].value}"
                )
            action = chosen[0] if chosen else Action.LIST
            _refuse_ignored(action)
            function(*args, action=action, **kwargs)

        for flag, name, verb in (
            ("-d", "delete", "delete"),
            ("-c", "change", "change"),
            ("-a", "add", "add new"),
        ):
            option = click.option(flag, name, is_flag=True, help=f"action: {verb} {thing}")
            command = option(command)
        return command

    return decorate


def _refuse_ignored(action: Action) -> None:
    """Refuse options that ``action`` would not look at.

    Raises:
        click.UsageError: a value was given and nothing is added or changed, or the other way round.
    """
    context = click.get_current_context()
    actions = {member.value for member in Action}
    for parameter in context.command.params:
        option = parameter.opts[-1]
        given = context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
        if not isinstance(parameter, click.Option) or not given or option in actions:
            continue
        if parameter.name == "as_json":
            if action is not Action.LIST:
                raise click.UsageError(f"argument {option}: not allowed with {action.value}")
        elif action in (Action.LIST, Action.DELETE):
            raise click.UsageError(f"argument {option}: only allowed with -a or -c")


def named(name: str | None, thing: str) -> str:
    """The name that this action needs.

    Raises:
        click.UsageError: none was given.
    """
    if name is None:
        raise click.UsageError(f"the following arguments are required: {thing}")
    return name
