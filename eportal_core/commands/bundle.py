"""``kc.eportal bundle``: carry patchsets to a portal that has no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from eportal_core.commands.session import pass_portal
from eportal_core.commands.usage import Group
from eportal_core.counting import counted
from eportal_core.errors import StorageError
from eportal_core.operations import bundles
from eportal_core.portal import Portal

# What reads a source is imported inside the commands: it takes long to load.

_PATH = click.Path(path_type=Path)
#: So many patchsets are named in a line.
_NAMED = 10

bundle_group = Group(
    "bundle",
    help="carry patchsets to a portal that has no network",
    short_help="carry patchsets to a portal without a network",
)


@bundle_group.command("create", short_help="write what another portal lacks into a folder")
@click.option(
    "--since",
    type=_PATH,
    metavar="receipt",
    help="leave out what the portal that wrote this receipt has already",
)
@click.option(
    "--split",
    metavar="size",
    help="write parts of at most this size, in bytes or as in 700M or 4G",
)
@click.argument("directory", type=_PATH, help="new folder")
@pass_portal
def create_command(portal: Portal, since: Path | None, split: str | None, directory: Path) -> None:
    """write a bundle: the metadata of what this portal has, and what another portal lacks of it"""
    from eportal_core.source.bundle import creating, packing, receipts

    receipt = None if since is None else receipts.read(since)
    size = None if split is None else packing.size_of(split)
    written = creating.create(portal, directory, receipt, size)
    parts = f" in {written.parts} parts" if split is not None else ""
    click.echo(f"{directory} has {written.told}{parts}, {written.size} bytes")
    if written.expires:
        click.echo(f"Apply it before {written.expires:%Y-%m-%d %H:%M} UTC")


@bundle_group.command("apply", short_help="verify a bundle and publish what is new in it")
@click.option("--feed", help="feed in which what is new is enabled at once")
@click.option("--receipt", type=_PATH, metavar="file", help="where the receipt is written")
@click.argument("directory", nargs=-1, required=True, type=_PATH, help="bundle, or parts of one")
@pass_portal
def apply_command(
    portal: Portal, feed: str | None, receipt: Path | None, directory: tuple[Path, ...]
) -> None:
    """verify a bundle as if it came by the network, publish what is new, and write a receipt"""
    applied = bundles.apply(portal, directory, feed)
    if done := applied.patchsets:
        came = counted(len(done.fetched.came), "patchset")
        click.echo(f"{came} came, enabled in feeds: {done.enabled}")
    else:
        click.echo("No patchsets came")
    for name, told in applied.done.items():
        click.echo(f"{name}: {told}")
    for name in applied.untaken[:_NAMED]:
        click.echo(f"{name} is left: no plugin takes it here, or its settings do not name it")
    if len(applied.untaken) > _NAMED:
        click.echo(f"{len(applied.untaken) - _NAMED} more are left, too")
    _tell_to_come(applied.to_come)
    if applied.patchsets or applied.done:
        _write_receipt(portal, receipt, directory[0])
    applied.check()


@bundle_group.command("receipt", short_help="tell what this portal has")
@click.argument("file", required=False, type=_PATH, help="where to write it, else it is printed")
@pass_portal
def receipt_command(portal: Portal, file: Path | None) -> None:
    """write a receipt: what this portal has, for the next bundle to leave out"""
    from eportal_core.source.bundle import receipts

    receipt = receipts.make(portal)
    if file is None:
        click.echo(receipt.encode().decode(), nl=False)
        return
    receipts.write(file, receipt)
    click.echo(f"The receipt is {file}: {receipt.told(portal)}")


def _tell_to_come(to_come: Mapping[str, Sequence[str]]) -> None:
    for part, names in sorted(to_come.items()):
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        told = f"{', '.join(names[:_NAMED])}{more}"
        if part:
            click.echo(f"{part} is still to come, with {told}")
        else:
            click.echo(f"Not found here: {told}; another part has them, or the next bundle")


def _write_receipt(portal: Portal, file: Path | None, folder: Path) -> None:
    """Into ``file``, or beside the bundle; on a disk that cannot be written, print it."""
    from eportal_core.source.bundle import receipts

    receipt = receipts.make(portal)
    place = file or folder / f"receipt-{receipt.instance}.json"
    try:
        receipts.write(place, receipt)
    except StorageError as error:
        if file is not None:
            raise
        click.echo(f"The receipt follows, for {error}", err=True)
        click.echo(receipt.encode().decode(), nl=False)
        return
    click.echo(f"The receipt is {place}: {receipt.told(portal)}")
