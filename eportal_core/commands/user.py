"""``kc.eportal user``: list, add, change and delete users of the admin side."""

from __future__ import annotations

import click

from eportal_core import queries
from eportal_core.commands.actions import Action, action_options, named
from eportal_core.commands.listing import json_option, show
from eportal_core.commands.root import add_action
from eportal_core.commands.secret import FROM_INPUT, new_password
from eportal_core.commands.session import pass_portal
from eportal_core.commands.usage import Command
from eportal_core.operations import users
from eportal_core.portal import Portal

_COLUMNS = {
    "id": "Id",
    "username": "Username",
    "role": "Role",
    "backend": "Backend",
    "description": "Description",
}
_PASSWORD = "eportal.password"


@click.command(
    "user", cls=Command, help="list available users by default", short_help="manage users"
)
@action_options("user")
@click.option(
    "-p", "--password", help="asked for when it is not given with -a; - asks for it with -c, too"
)
@click.option(
    "-r",
    "--role",
    type=click.Choice(["admin", "readonly"]),
    help="what the user may: change everything, or only see it; admin unless given with -a",
)
@click.option("--note", help="description")
@json_option
@click.argument("user", required=False, help="user name")
@pass_portal
def user_command(
    portal: Portal,
    action: Action,
    password: str | None,
    role: str | None,
    note: str | None,
    as_json: bool,
    user: str | None,
) -> None:
    if action is Action.LIST:
        show(queries.users(user), _COLUMNS, as_json)
        return
    name = named(user, "user")
    if action is Action.ADD:
        users.check_name(name)
        readonly = role == "readonly"
        users.add(portal, name, new_password(password), readonly=readonly, note=note or "")
    elif action is Action.CHANGE:
        users.change(
            portal,
            name,
            password=new_password(password) if password == FROM_INPUT else password,
            readonly=None if role is None else role == "readonly",
            note=note,
        )
    else:
        users.remove(portal, name)


def add_user_option(cli: click.Group) -> None:
    """The older form, ``kc.eportal -a USER -p PASSWORD``."""

    @pass_portal
    def add(portal: Portal, name: str) -> None:
        users.check_name(name)
        users.add(portal, name, new_password(click.get_current_context().meta.get(_PASSWORD)))

    def keep(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            context.meta[_PASSWORD] = value

    add_action(cli, "-a", add, "USER", "add an administrator; older form of user -a")
    cli.params.append(
        click.Option(
            ["-p"],
            metavar="PASSWORD",
            help="the password that goes with -a; asked for when it is not given",
            callback=keep,
            expose_value=False,
        )
    )
