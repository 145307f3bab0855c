"""``kc.eportal source``: make a patch source, sign what is in it, and publish."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eportal_core.commands.listing import json_option, print_json, show
from eportal_core.commands.session import pass_portal
from eportal_core.commands.usage import Group
from eportal_core.counting import counted
from eportal_core.models import AVAILABLE, BLOCKED, DISABLED
from eportal_core.portal import Portal
from eportal_core.source.layout import METADATA, STATES

if TYPE_CHECKING:
    from eportal_core.source.publisher import Publisher

# What signs is imported inside the commands: the libraries take as long as the rest together.
# Only what has to know the products needs a portal: keys may be where there is none.

_COLUMNS = {
    "role": "Role",
    "version": "Version",
    "published": "Published",
    "keys": "Keys",
    "expires": "Expires",
    "available": "Available",
    "disabled": "Disabled",
    "blocked": "Blocked",
    "warning": "Warning",
}
_PATH = click.Path(path_type=Path)


class _RoleNumber(click.ParamType[tuple[str, int]]):
    """``targets=90`` as a pair."""

    name = "role=number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        role, _, number = str(value).partition("=")
        if not role or not number.isascii() or not number.isdigit() or len(number) > 9:
            self.fail(f"{value!r} is not a role and a number, such as targets=2.", param, ctx)
        return role, int(number)


source_group = Group(
    "source",
    help="make a patch source and publish patchsets in it",
    short_help="make and publish a patch source",
)

_directory: Callable[[Any], Any] = click.argument(
    "directory", type=_PATH, help="directory of the source"
)
_keys: Callable[[Any], Any] = click.option(
    "--keys", type=_PATH, metavar="keys", help="directory of the keys, DIRECTORY.keys by default"
)
_names: Callable[[Any], Any] = click.argument(
    "patchset", nargs=-1, required=True, help="patchset names"
)
_expires: Callable[[Any], Any] = click.option(
    "--expires",
    multiple=True,
    type=_RoleNumber(),
    metavar="role=days",
    help="for how many days a role is signed; can be specified multiple times",
)


@source_group.command("init", short_help="make a source, or give one a further product")
@_keys
@click.option(
    "--product",
    multiple=True,
    help="product of the source, all by default; can be specified multiple times",
)
@click.option(
    "--threshold",
    multiple=True,
    type=_RoleNumber(),
    metavar="role=number",
    help="how many keys a role has, all of which sign, 1 by default; can be specified multiple "
    "times",
)
@_expires
@_directory
@pass_portal
def init(
    portal: Portal,
    keys: Path | None,
    product: tuple[str, ...],
    threshold: tuple[tuple[str, int], ...],
    expires: tuple[tuple[str, int], ...],
    directory: Path,
) -> None:
    from eportal_core.source.creating import Wanted, add_products, create
    from eportal_core.source.keys import default_keys
    from eportal_core.source.status import fingerprint

    products = [portal.product(name).name for name in dict.fromkeys(product)]
    if products and (directory / METADATA).is_dir():
        if expires:
            raise click.UsageError("argument --expires: a source that exists takes it at publish")
        with _opened(directory, keys) as publisher:
            add_products(publisher, Wanted(products, dict(threshold)))
        click.echo(f"{', '.join(products)} was added{_invisible(directory)}")
        return
    place = keys or default_keys(directory)
    wanted = Wanted(products or sorted(portal.stores()), dict(threshold), dict(expires))
    create(directory, place, wanted)
    click.echo(f"The source {directory} was made; its keys are in {place}, keep a copy of them")
    click.echo(f"Fingerprint: {fingerprint(directory)}")


@source_group.command("add", short_help="add patchsets from archives")
@_keys
@click.option("--state", type=click.Choice(STATES), help="what the source says of them")
@click.option("--product", help="product of the archives, told from their names by default")
@_directory
@click.argument("archive", nargs=-1, required=True, type=_PATH, help="path to archive")
@pass_portal
def add(
    portal: Portal,
    keys: Path | None,
    state: str | None,
    product: str | None,
    directory: Path,
    archive: tuple[Path, ...],
) -> None:
    from eportal_core.patchsets.archive import Limits
    from eportal_core.patchsets.progress import progress_bar
    from eportal_core.source import adding

    specs = {name: store.spec for name, store in portal.stores().items()}
    config = portal.config
    limits = Limits(
        files=config["ARCHIVE_MAX_FILES"],
        bytes=config["ARCHIVE_MAX_BYTES"],
        ratio=config["ARCHIVE_MAX_RATIO"],
    )
    chosen = None if product is None else portal.product(product).name
    with (
        _opened(directory, keys) as publisher,
        progress_bar(f"Adding {counted(len(archive), 'archive')}") as progress,
    ):
        added = adding.add(
            publisher, specs, archive, limits, state=state, product=chosen, progress=progress
        )
    click.echo(f"{_count(len(added))} added{_invisible(directory)}")


@source_group.command("remove", short_help="take patchsets off the list")
@_keys
@_directory
@_names
def remove(keys: Path | None, directory: Path, patchset: tuple[str, ...]) -> None:
    _change(directory, keys, patchset, "removed", lambda publisher: publisher.remove(patchset))


@source_group.command("block", short_help="have patchsets disabled everywhere at once")
@_keys
@_directory
@_names
def block(keys: Path | None, directory: Path, patchset: tuple[str, ...]) -> None:
    _set_state(directory, keys, patchset, "blocked", BLOCKED)


@source_group.command("unblock", short_help="offer patchsets again that are blocked or disabled")
@_keys
@click.option("--disabled", is_flag=True, help="show them, but have them enabled by hand alone")
@_directory
@_names
def unblock(keys: Path | None, disabled: bool, directory: Path, patchset: tuple[str, ...]) -> None:
    _set_state(directory, keys, patchset, "unblocked", DISABLED if disabled else AVAILABLE)


@source_group.command("prune", short_help="remove the files of patchsets that were removed")
@_keys
@click.option(
    "--days",
    type=click.IntRange(0),
    default=30,
    metavar="days",
    help="keep those that readers have seen in so many days, 30 by default",
)
@click.option("--dry-run", is_flag=True, help="only tell which")
@_directory
def prune(keys: Path | None, days: int, dry_run: bool, directory: Path) -> None:
    with _opened(directory, keys) as publisher:
        names = publisher.prune(time.time() - days * 24 * 3600, dry_run=dry_run)
    for name in names if dry_run else ():
        click.echo(f"{name} would be pruned")
    if not dry_run:
        click.echo(f"{_count(len(names))} pruned")


@source_group.command("publish", short_help="make changes visible and renew signatures")
@_keys
@_expires
@_directory
def publish(keys: Path | None, expires: tuple[tuple[str, int], ...], directory: Path) -> None:
    from eportal_core.source.publishing import publish
    from eportal_core.source.signing import warning

    with _opened(directory, keys) as publisher:
        changed = publish(publisher, dict(expires))
        until = publisher.repository.timestamp.signed.expires
        metadata = publisher.repository.metadata()
    told = f"with changes of {', '.join(changed)}" if changed else "without changes"
    click.echo(f"{directory} was published {told}; publish again before {until:%Y-%m-%d %H:%M} UTC")
    for role, each in metadata.items():
        if role != "timestamp" and (trouble := warning(role, each.signed)):
            click.echo(f"Warning: the signature of {role} {_is(trouble)}", err=True)


@source_group.command("rotate-key", short_help="give a role new keys and publish")
@_keys
@_directory
@click.argument("role", help="root, targets, snapshot, timestamp or a product")
def rotate_key(keys: Path | None, directory: Path, role: str) -> None:
    from eportal_core.source.publishing import rotate

    with _opened(directory, keys) as publisher:
        rotate(publisher, role)
    click.echo(f"{role} has new keys; the old ones are of no use any more")


@source_group.command("status", short_help="show versions, signatures and patchsets of a source")
@json_option
@_directory
def status(as_json: bool, directory: Path) -> None:
    from eportal_core.source.status import fingerprint, status

    rows = status(directory)
    if as_json:
        print_json({"fingerprint": fingerprint(directory), "roles": rows})
        return
    show(rows, _COLUMNS)
    click.echo(f"\nFingerprint: {fingerprint(directory)}")


def _set_state(
    directory: Path, keys: Path | None, names: tuple[str, ...], done: str, state: str
) -> None:
    _change(directory, keys, names, done, lambda publisher: publisher.set_state(names, state))


def _change(
    directory: Path,
    keys: Path | None,
    names: tuple[str, ...],
    done: str,
    change: Callable[[Publisher], None],
) -> None:
    with _opened(directory, keys) as publisher:
        change(publisher)
    click.echo(f"{_count(len(set(names)))} {done}{_invisible(directory)}")


def _opened(directory: Path, keys: Path | None) -> AbstractContextManager[Publisher]:
    from eportal_core.source.publisher import open_publisher

    return open_publisher(directory, keys)


def _count(count: int) -> str:
    return counted(count, "patchset was", "patchsets were")


def _invisible(directory: Path) -> str:
    return f"; to make it visible: kc.eportal source publish {directory}"


def _is(trouble: str) -> str:
    return "is expired" if trouble == "expired" else trouble
