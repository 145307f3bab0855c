"""``/admin/api/feeds``: the feeds, made and changed by one call."""

from __future__ import annotations

import msgspec

from eportal_core import queries
from eportal_core.admin.api.operation import Access, Call, NoArguments, Operation
from eportal_core.admin.api.shapes import Deleted
from eportal_core.admin.api.upsert import delete, upsert
from eportal_core.models import CHANNELS, MAIN
from eportal_core.operations import feeds


class FeedShown(msgspec.Struct, frozen=True):
    """A feed. auto: it is updated by itself, deploy_after hours later."""

    name: str
    auto: bool
    deploy_after: int
    channel: str


class Feeds(msgspec.Struct, frozen=True):
    result: list[FeedShown]


class OneFeed(msgspec.Struct, frozen=True):
    result: FeedShown


class FeedWanted(msgspec.Struct, frozen=True):
    """deploy_after: hours. channel: default, test or unstable."""

    name: str
    auto: bool | None = None
    deploy_after: int | None = None
    channel: str | None = None


class FeedNamed(msgspec.Struct, frozen=True):
    name: str


def list_feeds(call: Call, arguments: NoArguments) -> Feeds:
    """All feeds, ``main`` first."""
    found = msgspec.convert(queries.feeds(), list[FeedShown])
    return Feeds([feed for feed in found if call.may_have_feed(feed.name)])


def put_feed(call: Call, arguments: FeedWanted) -> OneFeed:
    """Add a feed, or change what is given of it; the rest stays as it is."""
    call.check_feed(arguments.name)
    name, auto = arguments.name, arguments.auto
    hours, channel = arguments.deploy_after, arguments.channel or None
    upsert(
        lambda: feeds.change(call.portal, name, auto=auto, deploy_after=hours, channel=channel),
        lambda: feeds.add(
            call.portal,
            name,
            auto=bool(auto),
            deploy_after=hours or 0,
            channel=channel or CHANNELS[0],
        ),
    )
    return OneFeed(msgspec.convert(queries.feeds(arguments.name)[0], FeedShown))


def delete_feed(call: Call, arguments: FeedNamed) -> Deleted:
    """Delete a feed; its keys move to ``main``, so that an API key for some feeds needs both.

    One that is not there is no error.
    """
    for feed in (arguments.name, MAIN):
        call.check_feed(feed)
    return delete(lambda: feeds.remove(call.portal, arguments.name))


OPERATIONS = (
    Operation("GET", "/admin/api/feeds", Access.READER, list_feeds, limited=True),
    Operation("POST", "/admin/api/feeds", Access.ADMIN, put_feed, limited=True, all_products=True),
    Operation(
        "DELETE",
        "/admin/api/feeds/{name}",
        Access.ADMIN,
        delete_feed,
        limited=True,
        all_products=True,
    ),
)
