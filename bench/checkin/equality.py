"""A fast wrong answer looks like a good number: what was answered and stored, before any timing."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import data
from serving import Running, Variant, get

GOOD = 300
# Longer than any queue may be kept before it is written.
STORE_LIMIT = 10.0

Answers = list[tuple[int, bytes]]


class Differs(SystemExit):
    """Two servers that should do the same do not; nothing was timed."""


def answers(running: Running, fleet: int, generation: int) -> Answers:
    """Status and body of GOOD check-ins, then statuses of an unknown server and kernel."""
    *numbers, another = data.servers(fleet, GOOD + 1, 0)
    good = [
        data.request(data.facts(number, generation, 1), data.server_id(number))
        for number in numbers
    ]
    found = [get(running.port, one.path, one.authorization) for one in good]
    # Of a server whose row is not looked up: whether to store such a check-in is a matter of taste.
    known = data.facts(another, generation, 1)
    stranger = data.request(known, data.server_id(-1))
    lost = data.request({**known, "kernel_id": data.kernel_id(-1)}, data.server_id(another))
    for one in (stranger, lost):
        found.append((get(running.port, one.path, one.authorization)[0], b""))
    return found


def expected(fleet: int) -> Answers:
    """What the data set says the answers are, worked out without any server."""
    good = []
    for number in data.servers(fleet, GOOD, 0):
        enabled = data.patchsets_of(data.feed_of_key(data.key_of(number)))
        kernel = data.kernel_of(number)
        level = max(data.level_in(patchset, kernel) for patchset in enabled)
        good.append((200, str(level).encode()))
    return [*good, (401, b""), (404, b"")]


def check(variant: Variant, running: Running, fleet: int, generation: int) -> None:
    """Raise Differs unless the server answers and stores what the data set says it should."""
    seen = answers(running, fleet, generation)
    for place, (got, due) in enumerate(zip(seen, expected(fleet), strict=True)):
        if got != due:
            raise Differs(f"{variant.name}: request {place} was answered {got}, not {due}")
    numbers = data.servers(fleet, GOOD, 0)
    due_facts = {data.server_id(number): data.facts(number, generation, 1) for number in numbers}
    if missing := not_stored(variant, due_facts):
        raise Differs(f"{variant.name}: {missing}")


def check_file(variant: Variant, requests: Path, lines: set[int]) -> str:
    """Whether the check-ins on these lines were stored: a sentence, empty if they were."""
    with requests.open() as file:
        chosen = [_parse(line) for place, line in enumerate(file) if place in lines]
    return not_stored(variant, dict(chosen))


def not_stored(variant: Variant, wanted: dict[str, dict[str, Any]]) -> str:
    """Wait for what should have been stored; a sentence if it was not, empty if it was."""
    assert variant.stored is not None
    limit = monotonic() + STORE_LIMIT
    while True:
        rows = variant.stored(list(wanted))
        wrong = [server for server in wanted if not _same(wanted[server], rows.get(server))]
        if not wrong:
            return ""
        if monotonic() > limit:
            break
        sleep(0.25)
    return (
        f"{len(wrong)} of {len(wanted)} check-ins that were answered are not stored, "
        f"the first of {wrong[0]}: {_difference(wanted[wrong[0]], rows.get(wrong[0]))}"
    )


def _parse(line: str) -> tuple[str, dict[str, Any]]:
    path, _, authorization = line.rstrip("\n").partition(" ")
    server = base64.b64decode(authorization.split()[1]).decode().partition(":")[0]
    blob = path.partition("?info=")[2]
    facts = json.loads(base64.urlsafe_b64decode(blob + "=" * (-len(blob) % 4)))
    return server, facts


def _same(due: dict[str, Any], row: dict[str, Any] | None) -> bool:
    return row is not None and not _different(due, row)


def _different(due: dict[str, Any], row: dict[str, Any]) -> Sequence[str]:
    names = [name for name in data.FACTS if name in row and str(due[name]) != str(row[name])]
    return names if row["checkin"] else [*names, "checkin"]


def _difference(due: dict[str, Any], row: dict[str, Any] | None) -> str:
    if row is None:
        return "no such row"
    return ", ".join(f"{name} is {row[name]!r}" for name in _different(due, row))
