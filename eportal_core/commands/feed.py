"""``kc.eportal feed``: list, add, change and delete feeds."""

from __future__ import annotations

import click

from eportal_core import queries
from eportal_core.commands.actions import Action, action_options, named
from eportal_core.commands.listing import json_option, show
from eportal_core.commands.session import pass_portal
from eportal_core.commands.usage import Command
from eportal_core.counting import counted
from eportal_core.models import CHANNELS
from eportal_core.operations import feeds
from eportal_core.portal import Portal

_COLUMNS = {
    "name": "Feed",
    "auto": "Auto",
    "deploy_after": "Deploy after",
    "channel": "Channel",
}


@click.command(
    "feed", cls=Command, help="list available feeds by default", short_help="manage feeds"
)
@action_options("feed")
@click.option("--auto", is_flag=True, help="update feed automatically")
@click.option("--no-auto", is_flag=True, help="don't update feed automatically")
@click.option("--deploy-after", type=int, metavar="hours", help="deploy after specified hours")
@click.option(
    "--channel",
    type=click.Choice(CHANNELS),
    help="patchset channel to use for this feed",
)
@json_option
@click.argument("feed", required=False, help="feed name")
@pass_portal
def feed_command(
    portal: Portal,
    action: Action,
    auto: bool,
    no_auto: bool,
    deploy_after: int | None,
    channel: str | None,
    as_json: bool,
    feed: str | None,
) -> None:
    if auto and no_auto:
        raise click.UsageError("argument --no-auto: not allowed with argument --auto")
    if action is Action.LIST:
        show(queries.feeds(feed), _COLUMNS, as_json)
    elif action is Action.ADD:
        feeds.add(
            portal,
            named(feed, "feed"),
            auto=auto,
            deploy_after=deploy_after or 0,
            channel=channel or "default",
        )
    elif action is Action.CHANGE:
        feeds.change(
            portal,
            named(feed, "feed"),
            auto=True if auto else False if no_auto else None,
            deploy_after=deploy_after,
            channel=channel,
        )
    else:
        moved = feeds.remove(portal, named(feed, "feed"))
        click.echo(f"{counted(moved, 'key was', 'keys were')} moved to main")
