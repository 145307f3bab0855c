"""``kc.eportal api-key``: list, add and delete API keys."""

from __future__ import annotations

import click

from eportal_core import queries
from eportal_core.commands.listing import json_option, show
from eportal_core.commands.session import pass_portal
from eportal_core.commands.usage import Command
from eportal_core.operations import api_keys
from eportal_core.portal import Portal

_COLUMNS = {
    "id": "Id",
    "user": "User",
    "name": "Name",
    "scope": "May",
    "products": "Products",
    "feeds": "Feeds",
    "created": "Created",
    "expires": "Expires",
    "used": "Last used",
}


@click.command(
    "api-key", cls=Command, help="list API keys by default", short_help="manage API keys"
)
@click.option("-a", "add", is_flag=True, help="action: add a key; prints its token, once")
@click.option("-d", "delete", is_flag=True, help="action: delete a key")
@click.option("--user", help="the user whose key it is")
@click.option("--write", is_flag=True, help="the key may change what its user may")
@click.option("--product", "products", multiple=True, help="the key is for this product alone")
@click.option("--feed", "feeds", multiple=True, help="the key is for this feed alone")
@click.option("--days", type=int, help="the key lives so long, for ever unless given")
@json_option
@click.argument("key", required=False, help="name of a new key, id of one to delete")
@pass_portal
def api_key_command(
    portal: Portal,
    add: bool,
    delete: bool,
    user: str | None,
    write: bool,
    products: tuple[str, ...],
    feeds: tuple[str, ...],
    days: int | None,
    as_json: bool,
    key: str | None,
) -> None:
    if add and delete:
        raise click.UsageError("argument -d: not allowed with argument -a")
    if not add and (write or products or feeds or days is not None):
        raise click.UsageError("arguments --write, --product, --feed, --days: only with -a")
    if (add or delete) and key is None:
        raise click.UsageError("the following arguments are required: key")
    if add and user is None:
        raise click.UsageError("the following arguments are required: --user")
    if key is None or not (add or delete):
        show(queries.api_keys(user), _COLUMNS, as_json)
    elif delete:
        api_keys.remove(portal, key)
    else:
        assert user is not None
        _, token = api_keys.add(
            portal,
            user,
            key,
            write=write,
            products=products or None,
            feed_names=feeds or None,
            days=days,
        )
        click.echo(token)
