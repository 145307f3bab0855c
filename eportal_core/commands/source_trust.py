"""``kc.eportal source trust``: say which patch source is believed."""

from __future__ import annotations

from pathlib import Path

import click

from eportal_core.commands.session import pass_portal
from eportal_core.commands.usage import Command
from eportal_core.operations.trust import pin
from eportal_core.portal import Portal
from eportal_core.source.client import open_place


@click.command(
    "trust",
    cls=Command,
    help="trust the patch source that PATCH_SOURCE_URL names, or one by its root file; without "
    "options, show the fingerprint that must be compared first",
    short_help="trust a patch source",
)
@click.option(
    "--root",
    metavar="file",
    type=click.Path(path_type=Path),
    help="its root.json, as the publisher gave it to you",
)
@click.option("--fingerprint", metavar="hex", help="its fingerprint, as the publisher told you")
@click.option("--yes", is_flag=True, help="trust what the source itself says, without a comparison")
@pass_portal
def trust_command(portal: Portal, root: Path | None, fingerprint: str | None, yes: bool) -> None:
    from eportal_core.source import trust

    if (root is not None) + (fingerprint is not None) + yes > 1:
        raise click.UsageError("only one of --root, --fingerprint and --yes may be given")
    if root is not None:
        data = trust.read_root(root)
    else:
        with open_place(portal) as place:
            if fingerprint is not None:
                data = trust.by_fingerprint(place, trust.checked_fingerprint(fingerprint))
            else:
                data = trust.first_root(place)
        found = trust.fingerprint(data)
        if fingerprint is None and not yes:
            click.echo(f"The fingerprint of {place} is {found}")
            click.echo("Compare it with the one that its publisher tells you, in another way than")
            click.echo("through this address. Nothing is trusted yet. If they are the same:")
            click.echo(f"kc.eportal source trust --fingerprint {found}")
            return
    click.echo(f"{pin(portal, data)} is trusted")
