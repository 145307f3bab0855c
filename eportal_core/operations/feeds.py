"""Add, change and remove feeds."""

from __future__ import annotations

from eportal_core import db
from eportal_core.errors import Conflict, InvalidValue, NotFound
from eportal_core.models import CHANNELS, MAIN, Feed, FeedPatchset, Key, record
from eportal_core.operations.names import check_feed, is_plain, told
from eportal_core.portal import Portal
from eportal_core.types import Event


def get(name: str) -> Feed:
    """The feed of this name.

    Raises:
        NotFound: there is none.
    """
    feed = Feed.get_or_none(name=name) if is_plain(name) else None
    if feed is None:
        raise NotFound(f"There is no feed {told(name)}: kc.eportal feed lists them.")
    return feed


def add(
    portal: Portal,
    name: str,
    *,
    auto: bool = False,
    deploy_after: int = 0,
    channel: str = "default",
) -> Feed:
    """A new feed without patchsets.

    Raises:
        InvalidValue: name, hours or channel are not allowed.
        Conflict: the name is taken.
    """
    check_feed(name)
    if any(name == product.command for product in portal.products.values()):
        raise InvalidValue(f"A feed cannot be named {name}, as a product is.")
    _check(deploy_after, channel)
    with db.database.atomic():
        if Feed.get_or_none(name=name):
            raise Conflict(f"Feed {name} exists already.")
        feed = Feed.new(name=name, auto=auto, deploy_after=deploy_after, channel=channel)
    portal.announce(Event("feed.added", name))
    return feed


def change(
    portal: Portal,
    name: str,
    *,
    auto: bool | None = None,
    deploy_after: int | None = None,
    channel: str | None = None,
) -> Feed:
    """Change what is given, leave what is None.

    Raises:
        NotFound: there is no such feed.
        InvalidValue: ``main`` was to become automatic, or a value is not allowed.
    """
    with db.database.atomic():
        feed = get(name)
        if name == MAIN and auto:
            raise InvalidValue(f"Feed {MAIN} cannot be updated automatically; add another feed.")
        feed.auto = feed.auto if auto is None else auto
        feed.deploy_after = feed.deploy_after if deploy_after is None else deploy_after
        feed.channel = feed.channel if channel is None else channel
        _check(feed.deploy_after, feed.channel)
        feed.put()
    portal.announce(Event("feed.changed", name))
    return feed


def remove(portal: Portal, name: str) -> int:
    """Remove a feed; its keys move to ``main``. Returns how many did.

    Raises:
        NotFound: there is no such feed.
        InvalidValue: it is ``main``.
    """
    check_removable(name)
    with db.database.atomic():
        feed = get(name)
        keys = list(Key.select().where(Key.feed == feed))
        main = get(MAIN)
        for key in keys:
            key.feed = main
            key.put()
        states = list(FeedPatchset.select().where(FeedPatchset.feed == feed))
        record(states, tombstone=True)
        feed.drop()
    portal.announce(Event("feed.removed", name))
    return len(keys)


def check_removable(name: str) -> None:
    """Raises: InvalidValue: it is ``main``."""
    if name == MAIN:
        raise InvalidValue(f"Feed {MAIN} cannot be removed.")


def _check(deploy_after: int, channel: str) -> None:
    if not 0 <= deploy_after <= 24 * 365:
        raise InvalidValue("The delay is a number of hours from 0 to 8760.")
    if channel not in CHANNELS:
        raise InvalidValue(f"A channel is one of {', '.join(CHANNELS)}, not {channel!r}.")
