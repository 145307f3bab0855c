"""``kc.eportal cache-mode``: patch files that come when agents ask for them."""

from __future__ import annotations

import click

from eportal_core.commands.session import pass_portal
from eportal_core.commands.usage import Command
from eportal_core.counting import counted
from eportal_core.portal import Portal


@click.command("cache-mode", cls=Command, short_help="bring an installation over to cache mode")
@click.option(
    "--fetch-meta",
    is_flag=True,
    required=True,
    help="fetch what describes the patchsets of the patch source that are not here",
)
@pass_portal
def cache_mode_command(portal: Portal, fetch_meta: bool) -> None:
    """fetch what describes patchsets; with CACHE_MODE, their files come when agents ask"""
    # Most commands do not need what reads the source.
    from eportal_core.operations import manifests

    fetched = manifests.fetch_meta(portal)
    click.echo(f"{counted(len(fetched.came), 'patchset was', 'patchsets were')} described")
    fetched.check()
