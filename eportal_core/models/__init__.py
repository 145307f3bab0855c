"""The tables. Times are UTC; every recorded table has a natural or random text key."""

from eportal_core.models.base import now, shown
from eportal_core.models.change import Actor, Change, acting, record, set_node
from eportal_core.models.feeds import CHANNELS, MAIN, Feed, Key
from eportal_core.models.jobs import JobRun
from eportal_core.models.offers import AVAILABLE, BLOCKED, Offer
from eportal_core.models.patchsets import (
    DISABLED,
    ENABLED,
    UNDEPLOYED,
    FeedPatchset,
    Level,
    Patchset,
    enabled_levels,
    of_product,
)
from eportal_core.models.servers import Checkin, Facts, Identity, Server

__all__ = [
    "AVAILABLE",
    "BLOCKED",
    "CHANNELS",
    "DISABLED",
    "ENABLED",
    "MAIN",
    "UNDEPLOYED",
    "Actor",
    "Change",
    "Checkin",
    "Facts",
    "Feed",
    "FeedPatchset",
    "Identity",
    "JobRun",
    "Key",
    "Level",
    "Offer",
    "Patchset",
    "Server",
    "acting",
    "enabled_levels",
    "now",
    "of_product",
    "record",
    "set_node",
    "shown",
]
