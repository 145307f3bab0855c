"""``kc.eportal key``: list, add, change and delete registration keys."""

from __future__ import annotations

from collections.abc import Sequence

import click

from eportal_core import queries
from eportal_core.commands.actions import Action, action_options, named
from eportal_core.commands.listing import json_option, show
from eportal_core.commands.session import pass_portal
from eportal_core.commands.usage import Command
from eportal_core.counting import counted
from eportal_core.models import MAIN
from eportal_core.operations import keys
from eportal_core.portal import Portal
from eportal_core.types import Product

_COLUMNS = {
    "servers": "Servers",
    "server_limit": "Limit",
    "key": "Key",
    "feed": "Feed",
    "products": "Products",
    "enabled": "Enabled",
    "note": "Note",
}


def key_command(products: Sequence[Product]) -> click.Command:
    """The command; ``--product`` takes the names of ``products``."""
    titles = ", ".join(product.title for product in products if product.default)

    @click.command(
        "key", cls=Command, help="list available keys by default", short_help="manage keys"
    )
    @action_options("key")
    @click.option("--note", help="key description")
    @click.option("--server-limit", type=int, help="maximum number of servers allowed")
    @click.option("--feed", help="feed to associate key to")
    @click.option(
        "--product",
        "chosen",
        multiple=True,
        type=click.Choice(sorted(name for p in products for name in (p.name, *p.aliases))),
        help="products available for the key, can be specified multiple times",
    )
    @click.option(
        "--default-products",
        is_flag=True,
        help=f"set default product list ({titles}) for the key",
    )
    @click.option("--disable", is_flag=True, help="lock out the servers of the key")
    @click.option("--enable", is_flag=True, help="let the servers of the key in again")
    @json_option
    @click.argument("key", required=False, help="key name")
    @pass_portal
    def command(
        portal: Portal,
        action: Action,
        note: str | None,
        server_limit: int | None,
        feed: str | None,
        chosen: tuple[str, ...],
        default_products: bool,
        disable: bool,
        enable: bool,
        as_json: bool,
        key: str | None,
    ) -> None:
        if chosen and default_products:
            raise click.UsageError(
                "argument --default-products: not allowed with argument --product"
            )
        if enable and disable:
            raise click.UsageError("argument --enable: not allowed with argument --disable")
        if action is Action.LIST:
            show(queries.keys(portal, key), _COLUMNS, as_json)
        elif action is Action.ADD:
            added = keys.add(
                portal,
                key,
                feed=MAIN if feed is None else feed,
                note=note or "",
                server_limit=server_limit or 0,
                products=chosen,
                enabled=not disable,
            )
            click.echo(added.key)
        elif action is Action.CHANGE:
            keys.change(
                portal,
                named(key, "key"),
                feed=feed,
                note=note,
                server_limit=server_limit,
                products=chosen if chosen or default_products else None,
                enabled=True if enable else False if disable else None,
            )
        else:
            removed = keys.remove(portal, named(key, "key"))
            click.echo(f"{counted(removed, 'server was', 'servers were')} deleted")

    return command
