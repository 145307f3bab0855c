"""Secrets as they are typed: never on the command line, which everybody on the machine can read."""

from __future__ import annotations

import sys

import click

from eportal_core.errors import InvalidValue

#: Stands for a value that is asked for, or read from standard input.
FROM_INPUT = "-"
#: A longer input is no value, characters.
_LONGEST = 100_000


def read_secret(name: str) -> str:
    """One line of standard input; at a terminal, what is typed is not shown.

    Raises:
        InvalidValue: it is no text, or too long to be a value.
    """
    if sys.stdin.isatty():
        return str(click.prompt(name, default="", hide_input=True, show_default=False))
    try:
        text = sys.stdin.readline(_LONGEST + 1)
    except UnicodeDecodeError:
        raise InvalidValue(f"The value of {name} is not UTF-8.") from None
    if len(text) > _LONGEST:
        raise InvalidValue(f"The value of {name} is longer than {_LONGEST} characters.")
    return text.removesuffix("\n").removesuffix("\r")


def new_password(given: str | None) -> str:
    """``given``, or what is typed twice without being shown.

    Raises:
        InvalidValue: the two differ.
    """
    if given not in (None, FROM_INPUT):
        return given
    password = read_secret("Password")
    if sys.stdin.isatty() and read_secret("The same again") != password:
        raise InvalidValue("The two passwords differ.")
    return password
