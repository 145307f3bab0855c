"""What can be listed: read-only views over several tables, as plain values."""

from eportal_core.queries.identities import api_keys, users
from eportal_core.queries.listings import (
    ACTIVE_FOR,
    NOT_DOWNLOADED,
    UNAVAILABLE,
    clones,
    feeds,
    keys,
    patchsets,
    servers_by_key,
)
from eportal_core.queries.server_rows import servers

__all__ = [
    "ACTIVE_FOR",
    "NOT_DOWNLOADED",
    "UNAVAILABLE",
    "api_keys",
    "clones",
    "feeds",
    "keys",
    "patchsets",
    "servers",
    "servers_by_key",
    "users",
]
