"""``kc.eportal plugins``: what is installed, and what is wrong with it."""

from __future__ import annotations

from dataclasses import asdict

import click

from eportal_core.commands.listing import json_option, show
from eportal_core.commands.session import Session, pass_session
from eportal_core.commands.usage import Command

_COLUMNS = {
    "name": "Plugin",
    "distribution": "Distribution",
    "version": "Version",
    "problem": "Problem",
}


@click.command(
    "plugins", cls=Command, help="list installed plugins", short_help="list installed plugins"
)
@json_option
@pass_session
def plugins_command(session: Session, as_json: bool) -> None:
    show(map(asdict, session.plugins.found), _COLUMNS, as_json)
