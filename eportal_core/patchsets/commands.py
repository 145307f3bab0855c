"""``kc.eportal <product> ...``: the subcommands of a product made of patchset archives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from eportal_core import queries
from eportal_core.caching.verifying import copy_faults
from eportal_core.commands.listing import json_option, print_json, print_table
from eportal_core.commands.root import add_action
from eportal_core.commands.session import pass_portal
from eportal_core.commands.usage import Command, Group
from eportal_core.counting import counted
from eportal_core.models import CHANNELS, ENABLED, MAIN, UNDEPLOYED, Patchset
from eportal_core.operations import missing, patchsets, updates
from eportal_core.patchsets.spec import PatchsetSpec
from eportal_core.patchsets.store import PatchsetStore
from eportal_core.portal import Portal
from eportal_core.types import Product

_ARCHIVE = click.Path(path_type=Path)


def add_commands(cli: click.Group, spec: PatchsetSpec) -> None:
    """Add the product's group, and the old options when the product has them."""
    group = patchset_commands(spec.product)
    _updates(group, spec.product)
    for add in (_verify, _pack):
        add(group, spec)
    cli.add_command(group)
    if spec.legacy_options:
        _legacy_options(cli, spec)


def patchset_commands(product: Product) -> Group:
    """``kc.eportal <product>`` with what can be done to patchsets however the product keeps them.

    Its deploy and unroll ask ``eportal_deploy`` and ``eportal_unroll``.
    """
    summary = f"manage {product.title} patchsets"
    group = Group(product.command, help=summary, short_help=summary)
    for add in (_deploy, _unroll, _states, _list):
        add(group, product)
    return group


def _feed_option(verb: str) -> Callable[[Any], Any]:
    return click.option("--feed", default=MAIN, help=verb)


def _updates(group: click.Group, product: Product) -> None:
    """What comes from the patch source."""

    @group.command("update", short_help="download the newest patchsets and enable them in a feed")
    @_feed_option("feed to update")
    @pass_portal
    def update(portal: Portal, feed: str) -> None:
        """download what is new for a feed from the patch source, and enable it there"""
        updates.update(portal, product, feed)

    @group.command("auto-update", short_help="update the feeds that update by themselves")
    @pass_portal
    def auto_update(portal: Portal) -> None:
        """download what is new for feeds that update by themselves, and enable what is due there"""
        updates.auto_update(portal, product)

    @group.command("download-missing", short_help="make patchsets whole that are damaged or lost")
    @pass_portal
    def download_missing(portal: Portal) -> None:
        """publish patchsets anew whose files are not whole, from archives here or at the source"""
        missing.download_missing(portal, product)


def _deploy(group: click.Group, product: Product) -> None:
    @group.command("deploy", short_help="deploy patchsets from archives")
    @_feed_option("feed to deploy archive to")
    @click.option("--disabled", is_flag=True, help="do not enable patchset after deploy")
    @click.argument("archive", nargs=-1, required=True, type=_ARCHIVE, help="path to archive")
    @pass_portal
    def command(portal: Portal, feed: str, disabled: bool, archive: tuple[Path, ...]) -> None:
        for path in archive:
            patchsets.deploy(portal, product, path, feed=feed, enable=not disabled)


def _unroll(group: click.Group, product: Product) -> None:
    @group.command("unroll", short_help="take a patchset out of every feed")
    @click.option("--delete", is_flag=True, help="delete its archive and files too")
    @click.argument("patchset", help="patchset name")
    @pass_portal
    def command(portal: Portal, delete: bool, patchset: str) -> None:
        patchsets.unroll(portal, product, patchset, delete=delete)


def _states(group: click.Group, product: Product) -> None:
    """The four ways to change a patchset's state in one feed."""
    changes = {
        "enable": (patchsets.enable, "enable a patchset in a feed"),
        "enable-up-to": (
            patchsets.enable_upto,
            "enable a patchset and all older ones, except disabled ones",
        ),
        "disable": (
            patchsets.disable,
            "disable a patchset in a feed; enabling many skips disabled ones",
        ),
        "undeploy-down-to": (
            patchsets.undeploy_downto,
            "take a patchset and all newer ones out of a feed",
        ),
    }
    for name, (change, summary) in changes.items():
        group.add_command(_state_command(name, change, summary, product))


def _state_command(
    name: str, change: Callable[..., None], summary: str, product: Product
) -> click.Command:
    @click.command(name, cls=Command, help=summary, short_help=summary)
    @_feed_option("feed to change")
    @click.argument("patchset", help="patchset name")
    @pass_portal
    def command(portal: Portal, feed: str, patchset: str) -> None:
        change(portal, product, patchset, feed)

    return command


def _list(group: click.Group, product: Product) -> None:
    @group.command("list", short_help="list patchsets and their state in each feed")
    @click.option("--feed", help="show only this feed")
    @click.option(
        "--all", "everything", is_flag=True, help="show also those that cannot be had any more"
    )
    @json_option
    @pass_portal
    def command(portal: Portal, feed: str | None, everything: bool, as_json: bool) -> None:
        rows = queries.patchsets(portal, product, feed, unavailable=everything)
        if as_json:
            print_json(rows)
            return
        names = [row["name"] for row in queries.feeds(feed)]
        print_table(
            ("Patchset", "Appeared", *names),
            [
                (
                    row["patchset"],
                    row["appeared"][:19],
                    # A feed may have been added since the patchsets were read.
                    *(_shown(row, row["feeds"].get(name, UNDEPLOYED)) for name in names),
                )
                for row in rows
            ],
        )


def _shown(row: Mapping[str, Any], state: str) -> str:
    """A state as the table has it; what is enabled and withdrawn by the source stands out."""
    return "Enabled (!)" if row["withdrawn"] and state == ENABLED else state


def _verify(group: click.Group, spec: PatchsetSpec) -> None:
    @group.command("verify", short_help="check published files against their manifests")
    @click.argument("patchset", nargs=-1, help="patchset names, all by default")
    @pass_portal
    def command(portal: Portal, patchset: tuple[str, ...]) -> None:
        """check every published file against its manifest; exits with 1 when one differs"""
        store = PatchsetStore(spec, portal.storage, portal.config["CACHE_MODE"])
        named = [patchsets.get(spec.product, name) for name in patchset]
        chosen = named or patchsets.all_of(spec.product)
        count = 0
        for each in chosen:
            for fault in _faults(portal, store, each):
                click.echo(f"{each.name}: {fault}", err=True)
                count += 1
        verified = counted(len(chosen), "patchset was", "patchsets were")
        faults = counted(count, "fault was", "faults were")
        click.echo(f"{verified} verified, {faults} found")
        if count:
            raise click.exceptions.Exit(1)


def _faults(portal: Portal, store: PatchsetStore, patchset: Patchset) -> list[str]:
    faults = list(store.faults(patchset))
    if store.is_described(patchset):
        faults += copy_faults(portal.config.data_dir, store.manifest(patchset))
    # Whatever is missing, it is no fault if the patchset was deleted meanwhile.
    return faults if faults and Patchset.get_or_none(id=patchset.id) else []


def _pack(group: click.Group, spec: PatchsetSpec) -> None:
    @group.command("pack", short_help="make an archive from a directory of patches")
    @click.option(
        "-o", "output", required=True, type=_ARCHIVE, metavar="archive", help="archive to make"
    )
    @click.option("--released", default="", help="when it was released, YYYY-MM-DD")
    @click.option(
        "--channel",
        multiple=True,
        type=click.Choice(CHANNELS),
        help="channel it belongs to, default by default",
    )
    @click.option("--distro", multiple=True, help="distribution it is for")
    @click.option("--changelog", type=click.File(), help="file with the changelog")
    @click.argument("directory", type=_ARCHIVE, help="directory of <target>/<level>/<file>")
    def command(
        output: Path,
        released: str,
        channel: tuple[str, ...],
        distro: tuple[str, ...],
        changelog: Any,
        directory: Path,
    ) -> None:
        from eportal_core.patchsets.pack import pack
        from eportal_core.patchsets.progress import progress_bar

        with progress_bar(f"Packing {output.name}") as progress:
            manifest = pack(
                directory,
                output,
                spec,
                released=released,
                distros=distro,
                channels=channel,
                changelog=changelog.read() if changelog else "",
                progress=progress,
            )
        click.echo(f"{output} was made, targets: {len(manifest.targets)}")


def _legacy_options(cli: click.Group, spec: PatchsetSpec) -> None:
    """``kc.eportal --deploy ARCHIVE`` and others, as older documents have them."""

    @pass_portal
    def deploy(portal: Portal, archive: str) -> None:
        patchsets.deploy(portal, spec.product, Path(archive))

    @pass_portal
    def unroll(portal: Portal, name: str) -> None:
        patchsets.unroll(portal, spec.product, name)

    @pass_portal
    def get_latest(portal: Portal) -> None:
        updates.update(portal, spec.product)

    @pass_portal
    def auto_update(portal: Portal) -> None:
        updates.auto_update(portal, spec.product)

    title = spec.product.title
    add_action(cli, "--deploy", deploy, "archive", f"deploy a {title} patchset")
    add_action(cli, "--unroll", unroll, "patchset", f"take a {title} patchset out of every feed")
    add_action(cli, "--get-latest", get_latest, None, f"update {MAIN} with {title} patchsets")
    add_action(
        cli,
        "--auto-update",
        auto_update,
        None,
        f"update feeds that update by themselves with {title} patchsets",
    )
