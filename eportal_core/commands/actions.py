"""The documented ``-a``, ``-c`` and ``-d`` of the commands that manage one kind of thing."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import wraps
from typing import Any

import click


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
            function(*args, action=chosen[0] if chosen else Action.LIST, **kwargs)

        for flag, name, verb in (
            ("-d", "delete", "delete"),
            ("-c", "change", "change"),
            ("-a", "add", "add new"),
        ):
            option = click.option(flag, name, is_flag=True, help=f"action: {verb} {thing}")
            command = option(command)
        return command

    return decorate


def named(name: str | None, thing: str) -> str:
    """The name that this action needs.

    Raises:
        click.UsageError: none was given.
    """
    if name is None:
        raise click.UsageError(f"the following arguments are required: {thing}")
    return name
