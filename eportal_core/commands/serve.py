"""``kc.eportal serve``: run the portal, as two processes or one of them."""

from __future__ import annotations

import logging

import click

from eportal_core.commands.session import Session, pass_session
from eportal_core.commands.usage import Command
from eportal_core.errors import PortalError

log = logging.getLogger("eportal.server")


@click.command(
    "serve",
    cls=Command,
    help="run the portal until it is told to stop",
    short_help="run the portal",
)
@click.option(
    "--only",
    type=click.Choice(["agent", "admin"]),
    help="run only the process that agents, or administrators, talk to",
)
@pass_session
def serve_command(session: Session, only: str | None) -> None:
    # The web server takes a third of a second to load, which no other command should wait for.
    from eportal_core import server

    portal = session.portal
    try:
        portal.storage.sweep()
    except PortalError as error:
        # The leftovers harm no agent; not to be served would.
        log.error("%s What a crash left stays until the next deploy.", error)
    if only is None:
        server.run_both(portal)
    else:
        server.run_one(portal, only)
