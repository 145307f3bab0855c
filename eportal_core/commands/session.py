"""What a command works with: the plugins, and the portal once a command asks for it."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Mapping
from functools import cached_property, wraps
from typing import Concatenate, ParamSpec, TypeVar

import click

from eportal_core import db
from eportal_core.config import Config, load
from eportal_core.models import Actor, acting
from eportal_core.operations.names import shown_address
from eportal_core.plugins import Plugins
from eportal_core.portal import Portal, open_portal

P = ParamSpec("P")
R = TypeVar("R")


class Session:
    """Reads the configuration and opens the portal when first asked, so that help needs neither."""

    def __init__(self, plugins: Plugins, environ: Mapping[str, str]) -> None:
        self.plugins = plugins
        self.environ = environ

    @cached_property
    def config(self) -> Config:
        return load(self.plugins.settings(), self.environ)

    @cached_property
    def portal(self) -> Portal:
        return open_portal(self.config, self.plugins)


def pass_session(function: Callable[Concatenate[Session, P], R]) -> Callable[P, R]:
    """The command is called with the session first."""

    @wraps(function)
    def command(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(session(), *args, **kwargs)

    return command


def pass_portal(function: Callable[Concatenate[Portal, P], R]) -> Callable[P, R]:
    """The command is called with the open portal first, on a database connection of its own.

    What it changes is recorded as done by the user who typed it, also through sudo, from the
    address whence they came by SSH, or else from their terminal.
    """

    @wraps(function)
    def command(*args: P.args, **kwargs: P.kwargs) -> R:
        portal = session().portal
        with db.connection(), acting(Actor(_user(), _source(), "command line")):
            return function(portal, *args, **kwargs)

    return command


def session() -> Session:
    found = click.get_current_context().find_object(Session)
    assert found is not None
    return found


def _user() -> str:
    return os.environ.get("SUDO_USER") or _login_name()


def _source() -> str:
    # Source: ssh(1), ENVIRONMENT: the client's address stands first.
    if address := shown_address(os.environ.get("SSH_CONNECTION", "").partition(" ")[0]):
        return address
    for stream in (0, 1, 2):
        try:
            return os.ttyname(stream).removeprefix("/dev/")
        except OSError:
            continue
    return ""


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
