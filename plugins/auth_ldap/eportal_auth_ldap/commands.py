"""``kc.eportal ldap test``: which step of a login at the directory fails."""

from __future__ import annotations

import click

from eportal_core import Group, Portal, pass_portal, read_secret

_FROM_INPUT = "-"


def add_commands(cli: click.Group) -> None:
    cli.add_command(ldap_group)


ldap_group = Group(
    "ldap",
    help="see how users log in by the LDAP directory",
    short_help="try the LDAP directory",
)


@ldap_group.command("test", short_help="log in as a user would, and tell each step")
@click.option(
    "-p", "--password", metavar="password", help="password of the user, asked for by default"
)
@click.argument("user", help="name of the user")
@pass_portal
def test_command(portal: Portal, user: str, password: str | None) -> None:
    """log in as a user would, and tell each step; exits with 1 when one fails, adds no user"""
    from eportal_auth_ldap.errors import Fault, Refusal
    from eportal_auth_ldap.login import log_in
    from eportal_auth_ldap.settings import directory_of

    try:
        directory = directory_of(portal)
        if directory is None:
            raise Fault("settings", "LDAP_URL is not set; set it by kc.eportal config set")
        if password is None or password == _FROM_INPUT:
            password = read_secret("Password")
        name = log_in(directory, user, password, _tell)
    except (Fault, Refusal) as error:
        click.echo(f"BAD {error.step}: {error.reason}", err=True)
        raise click.exceptions.Exit(1) from None
    click.echo(f"{name} may log in")


def _tell(step: str, finding: str) -> None:
    click.echo(f"ok  {step}: {finding}")
