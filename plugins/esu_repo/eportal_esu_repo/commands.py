"""``kc.eportal esu update|list|verify``."""

from __future__ import annotations

import click

from eportal_core import Group, Portal, PortalError, counted, json_option, pass_portal, show

_COLUMNS = {
    "repository": "Repository",
    "packages": "Packages",
    "size": "Bytes",
    "revision": "Revision",
    "mirrored": "Mirrored",
    "incomplete": "Incomplete",
}


def add_commands(cli: click.Group) -> None:
    cli.add_command(esu_group)


esu_group = Group(
    "esu",
    help="manage the mirror of the ESU and FIPS repositories",
    short_help="manage the mirror of ESU repositories",
)


@esu_group.command("update", short_help="fetch what is new upstream")
@click.option("--repository", multiple=True, help="only this repository, as in ESU_REPOSITORIES")
@pass_portal
def update_command(portal: Portal, repository: tuple[str, ...]) -> None:
    """fetch what is new upstream; clients see it when all of it is there and verified"""
    from eportal_esu_repo.update import update

    failed = False
    for name, outcome in update(portal, repository):
        refused = isinstance(outcome, PortalError)
        failed |= refused
        click.echo(f"{name}: {outcome}", err=refused)
    if failed:
        raise click.exceptions.Exit(1)


@esu_group.command("list", short_help="list mirrored repositories")
@json_option
@pass_portal
def list_command(portal: Portal, as_json: bool) -> None:
    from eportal_esu_repo.repository import mirror
    from eportal_esu_repo.status import shown_time, status

    rows = []
    for repository in mirror(portal):
        found = status(repository)
        rows.append(
            {
                "repository": repository.name,
                "packages": found.packages,
                "size": found.size,
                "revision": found.revision,
                "mirrored": shown_time(found.mirrored),
                "incomplete": found.incomplete,
            }
        )
    show(rows, _COLUMNS, as_json)


@esu_group.command("verify", short_help="check mirrored files against their metadata")
@click.argument("repository", nargs=-1, help="repositories, all by default")
@pass_portal
def verify_command(portal: Portal, repository: tuple[str, ...]) -> None:
    """read every mirrored file and check it against the metadata; exits with 1 when one differs"""
    from eportal_esu_repo.repository import mirror
    from eportal_esu_repo.status import faults

    chosen = mirror(portal, repository)
    count = 0
    for each in chosen:
        for fault in faults(each):
            click.echo(f"{each.name}: {fault}", err=True)
            count += 1
    verified = counted(len(chosen), "repository was", "repositories were")
    click.echo(f"{verified} verified, {counted(count, 'fault was', 'faults were')} found")
    if count:
        raise click.exceptions.Exit(1)
