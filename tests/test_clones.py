"""Machines that were copied with their registration are noticed; others are left alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from eportal_core import queries
from eportal_core.models import Identity, now
from eportal_core.operations import keys, servers
from eportal_core.portal import Portal
from tests.support.agents import basic, register, shown, stored
from tests.support.commands import CommandLine
from tests.support.patches import DB, WEB
from tests.support.polling import eventually

ALPHA, BETA = ("alpha", WEB), ("beta", DB)


@pytest.fixture
def server(portal: Portal, agent: TestClient) -> str:
    return register(agent, keys.add(portal, "K1").key, "alpha")


def seen(agent: TestClient, server: str, *machines: tuple[str, str]) -> dict[str, Any]:
    """Check in as each machine in turn; the server as it is listed then."""
    row: dict[str, Any] = {}
    for hostname, target in machines:
        row = stored(agent, server, target, hostname=hostname)
    return row


def test_two_machines_in_turns(agent: TestClient, server: str, cli: CommandLine) -> None:
    good = register(agent, "K1", "good")
    seen(agent, good, ("good", WEB), ("good", WEB))

    assert seen(agent, server, ALPHA, BETA)["clones"] == []
    assert seen(agent, server, ALPHA)["clones"] == ["alpha", "beta"]
    row = seen(agent, server, BETA, ALPHA, BETA)

    assert row["clones"] == ["alpha", "beta"]
    assert (row["hostname"], row["kernel_id"]) == BETA
    assert shown(good)["clones"] == []
    done = cli("doctor")
    assert done.returncode == 1
    assert f"BAD server {server}: alpha and beta check in under one server id" in done.stdout
    assert "Unregister and register again" in done.stdout
    assert good not in done.stdout
    assert "alpha, beta" in cli.ok("server")


def test_three_machines(agent: TestClient, server: str) -> None:
    gamma = ("gamma", WEB)

    row = seen(agent, server, ALPHA, BETA, gamma, ALPHA, BETA, gamma)

    assert row["clones"] == ["alpha", "beta", "gamma"]


def test_facts_in_a_body_count_too(agent: TestClient, server: str) -> None:
    seen(agent, server, ALPHA, BETA)

    agent.post("/admin/api/kcare/checkin", json={"hostname": "alpha"}, headers=basic(server))

    eventually(lambda: shown(server)["clones"] == ["alpha", "beta"])


def test_a_renamed_machine_is_none(agent: TestClient, server: str, cli: CommandLine) -> None:
    row = seen(agent, server, ALPHA, ALPHA, ("renamed", WEB), ("renamed", WEB), ("renamed", DB))

    assert (row["hostname"], row["clones"]) == ("renamed", [])
    assert cli("doctor").returncode == 0


def test_another_kernel_is_none(agent: TestClient, server: str) -> None:
    row = seen(agent, server, ALPHA, ("alpha", DB), ALPHA, ("alpha", DB))

    assert row["clones"] == []


def test_another_name_than_the_registered_one_is_none(agent: TestClient, server: str) -> None:
    full = "alpha.example.com"

    row = seen(agent, server, (full, WEB), (full, WEB), (full, DB))

    assert (row["hostname"], row["clones"]) == (full, [])


def test_a_check_in_that_tells_no_name_is_none(agent: TestClient, server: str) -> None:
    seen(agent, server, ALPHA)
    stored(agent, server, DB)
    stored(agent, server, WEB, hostname="no host name")

    assert seen(agent, server, ALPHA)["clones"] == []


def test_clones_that_fell_silent_are_forgotten(agent: TestClient, server: str) -> None:
    seen(agent, server, ALPHA, BETA, ALPHA)
    long_ago = now() - queries.ACTIVE_FOR - timedelta(hours=1)
    Identity.update(last_seen=long_ago).where(Identity.hostname == "beta").execute()

    assert seen(agent, server, ALPHA)["clones"] == []


def test_after_registering_again_all_is_well(
    portal: Portal, agent: TestClient, server: str, cli: CommandLine
) -> None:
    seen(agent, server, ALPHA, BETA, ALPHA)
    servers.unregister(portal, server)

    for hostname, target in (ALPHA, BETA):
        seen(agent, register(agent, "K1", hostname), (hostname, target), (hostname, target))

    assert cli("doctor").returncode == 0
    assert Identity.select().count() == 2


def test_a_machine_with_a_new_name_each_time_keeps_few(agent: TestClient, server: str) -> None:
    for number in range(120):
        row = seen(agent, server, (f"host{number}", WEB))

    assert row["clones"] == []
    assert Identity.select().count() <= 50
    assert Identity.get_or_none(hostname="host119") is not None
