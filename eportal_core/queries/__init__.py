"""What can be listed: read-only views over several tables, as plain values."""

from eportal_core.queries.listings import (
    ACTIVE_FOR,
    NOT_DOWNLOADED,
    UNAVAILABLE,
    FleetTotals,
    feeds,
    fleet_totals,
    keys,
    patchsets,
    servers,
    servers_by_key,
)

__all__ = [
    "ACTIVE_FOR",
    "NOT_DOWNLOADED",
    "UNAVAILABLE",
    "FleetTotals",
    "feeds",
    "fleet_totals",
    "keys",
    "patchsets",
    "servers",
    "servers_by_key",
]
