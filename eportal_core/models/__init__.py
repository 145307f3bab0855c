"""The tables. Times are UTC; every recorded table has a natural or random text key."""

from eportal_core.models.base import now, shown
from eportal_core.models.change import Actor, Change, acting, note, put_all, record, set_node
from eportal_core.models.feeds import CHANNELS, MAIN, Feed, Key
from eportal_core.models.jobs import JobRun
from eportal_core.models.offers import AVAILABLE, BLOCKED, Offer
from eportal_core.models.patchsets import (
    DISABLED,
    ENABLED,
    UNDEPLOYED,
    FeedPatchset,
    LatestLevel,
    Level,
    Patchset,
    StaleFeed,
    enabled_levels,
    of_product,
)
from eportal_core.models.servers import (
    Checkin,
    Facts,
    Fleet,
    Identity,
    LevelHistory,
    Server,
    ServerTag,
    Tag,
)
from eportal_core.models.users import LOCAL, ApiKey, ApiKeyUse, LoginFailure, Session, User

__all__ = [
    "AVAILABLE",
    "BLOCKED",
    "CHANNELS",
    "DISABLED",
    "ENABLED",
    "LOCAL",
    "MAIN",
    "UNDEPLOYED",
    "Actor",
    "ApiKey",
    "ApiKeyUse",
    "Change",
    "Checkin",
    "Facts",
    "Feed",
    "FeedPatchset",
    "Fleet",
    "Identity",
    "JobRun",
    "Key",
    "LatestLevel",
    "Level",
    "LevelHistory",
    "LoginFailure",
    "Offer",
    "Patchset",
    "Server",
    "ServerTag",
    "Session",
    "StaleFeed",
    "Tag",
    "User",
    "acting",
    "enabled_levels",
    "note",
    "now",
    "of_product",
    "put_all",
    "record",
    "set_node",
    "shown",
]
