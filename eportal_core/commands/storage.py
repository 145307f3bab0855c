"""``kc.eportal storage``: what takes the room on the disk, by product and by feed."""

from __future__ import annotations

import click

from eportal_core.commands.listing import json_option, print_json, show
from eportal_core.commands.session import pass_portal
from eportal_core.commands.usage import Command
from eportal_core.portal import Portal


@click.command(
    "storage",
    cls=Command,
    help="tell what takes the room on the disk, by product and by feed",
    short_help="tell what takes the room on the disk",
)
@json_option
@pass_portal
def storage_command(portal: Portal, as_json: bool) -> None:
    from eportal_core.disk_usage import usage

    found = usage(portal)
    if as_json:
        print_json(found)
        return
    rows = [
        {
            "what": portal.products[row.product].title,
            "patchsets": row.patchsets,
            "archives": _shown(row.archives),
            "files": _shown(row.trees),
        }
        for row in found.products
    ]
    rows += [
        {"what": what, "patchsets": "", "archives": "", "files": _shown(size)}
        for what, size in (
            ("cache", found.cache),
            ("staging", found.staging),
            ("database", found.database),
            ("other", found.other),
        )
    ]
    show(
        rows,
        {"what": "What", "patchsets": "Patchsets", "archives": "Archives", "files": "Files"},
    )
    click.echo()
    show(
        (
            {"feed": row.feed, "enabled": _shown(row.enabled), "freed": _shown(row.freed)}
            for row in found.feeds
        ),
        {"feed": "Feed", "enabled": "Enabled in it", "freed": "In no other feed"},
    )
    click.echo()
    for folder, free in found.free.items():
        click.echo(f"{_shown(free)} are free at {folder}")


def _shown(size: int) -> str:
    """Bytes as people read them: ``1.5 GiB``."""
    number, unit = float(size), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if number < 1024:
            break
        number, unit = number / 1024, larger
    return f"{size} bytes" if unit == "bytes" else f"{number:.1f} {unit}"
