"""What monitoring asks for with a key in its path: Nagios, Zabbix and the lists of scanners.

Anybody may call these; whoever knows a key sees the servers of that key, as documented. Source of
paths and answers: docs/agents.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
from starlette.responses import PlainTextResponse, Response

from eportal_core import fleet
from eportal_core.admin.api.operation import Access, Call, Operation
from eportal_core.errors import NotFound
from eportal_core.queries.states import STATES, UP_TO_DATE


class KeyAsked(msgspec.Struct, frozen=True):
    key: str


class Levels(msgspec.Struct, frozen=True):
    """data: address, kernel id and level of each server that runs patches."""

    data: list[list[str | int]]


def nagios_state(call: Call, arguments: KeyAsked) -> Response:
    """How the servers of a key are patched, as a Nagios plugin prints it."""
    servers = _servers(call, arguments.key)
    if not servers:
        shown = arguments.key if arguments.key.isprintable() else ""
        return PlainTextResponse(f"Servers not found for key {shown}\n")
    counts = Counter(server.state for server in servers)
    offending = [server for server in servers if server.state != UP_TO_DATE]
    summary = (
        f"{len(offending)} of {len(servers)} servers are not up to date"
        if offending
        else f"All {len(servers)} servers are up to date"
    )
    numbers = ";".join(f"{state}={counts[state]}" for state in STATES)
    lines = [
        f"{summary}|{numbers}",
        *(f"{server.hostname} ({server.ip}) is {server.state.upper()}" for server in offending),
    ]
    return PlainTextResponse("\n".join(lines) + "\n")


def patch_levels(call: Call, arguments: KeyAsked) -> Levels:
    """Address, kernel id and level of each server of a key."""
    return Levels(
        [
            [server.ip, server.kernel_id or "", server.level or 0]
            for server in _servers(call, arguments.key)
        ]
    )


def _servers(call: Call, key: str) -> Sequence[fleet.Patched]:
    """The servers of a key, none when there is no such key."""
    try:
        return list(fleet.servers_of_key(call.portal, key))
    except NotFound:
        return []


OPERATIONS = (
    Operation("GET", "/admin/api/kcare/nagios/{key}", Access.ANYBODY, nagios_state),
    Operation("GET", "/admin/api/kcare/patchset/{key}", Access.ANYBODY, patch_levels),
)
