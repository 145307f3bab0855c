"""``kc.eportal --clean-releases``: remove patchsets that no feed needs; DRY_RUN=1 only tells."""

from __future__ import annotations

import os

import click

from eportal_core.operations import patchsets
from eportal_core.portal import Portal


def clean_releases(portal: Portal) -> None:
    dry_run = os.environ.get("DRY_RUN", "") not in ("", "0")
    count = 0
    for product in portal.products.values():
        for name in patchsets.clean(portal, product, dry_run=dry_run):
            count += 1
            if dry_run:
                click.echo(f"{name} would be deleted")
    if not count:
        click.echo("There are no obsolete releases")
