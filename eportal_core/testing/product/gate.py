"""Patches are for registered servers whose key has the product, and for nobody else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eportal_core.operations import keys
from eportal_core.testing.agents import Agents
from eportal_core.testing.content import files, private_files
from eportal_core.testing.product.base import OLD, Checks
from eportal_core.testing.world import Bystander, World


class GateChecks(Checks):
    @pytest.fixture
    def agents(self, world: World, patchsets: list[str], machines: list[str]) -> Iterator[Agents]:
        """The agent side of a portal that has a patchset for the first target."""
        world.deploy(world.pack(patchsets[0], {machines[0]: OLD}))
        with world.agents() as agents:
            yield agents

    def test_without_credentials_nothing_is_served(
        self, world: World, agents: Agents, machines: list[str]
    ) -> None:
        paths = _paths(world, agents, machines[0])
        if world.spec.product.checkin:
            # Scanners ask which level there is, and do not register.
            paths = [path for path in paths if not path.endswith("/latest.v1")]
        _assert_refused(agents, paths, None, 401)

    def test_an_unknown_server_gets_nothing(
        self, world: World, agents: Agents, machines: list[str]
    ) -> None:
        _assert_refused(agents, _paths(world, agents, machines[0]), "0123456789abcdef", 401)

    def test_a_key_without_the_product_gets_nothing(
        self, world: World, agents: Agents, machines: list[str]
    ) -> None:
        server = agents.register(world.key(products=[Bystander.product.name]))
        _assert_refused(agents, _paths(world, agents, machines[0]), server, 403)

    def test_a_disabled_key_gets_nothing(
        self, world: World, agents: Agents, machines: list[str]
    ) -> None:
        key = world.key()
        server = agents.register(key)
        keys.change(world.portal, key, enabled=False)
        # Whoever registers next makes the agent side look.
        agents.register(world.key())
        _assert_refused(agents, _paths(world, agents, machines[0]), server, 403)

    def test_public_files_are_for_anybody(
        self, world: World, agents: Agents, machines: list[str]
    ) -> None:
        target = machines[0]
        for name in world.spec.public_files:
            answer = agents.ask(agents.file_path(target, OLD, name), None)
            assert (answer.status, answer.body) == (200, files(world.spec, target, OLD)[name])

    def test_no_path_leads_out_of_the_level(
        self, world: World, agents: Agents, patchsets: list[str], machines: list[str]
    ) -> None:
        server, target = agents.register(world.key()), machines[0]
        for name in ("..", "%2e%2e", f"..%2f{OLD}.tgz", "%00", "..%2f..%2f..%2feportal.sqlite", ""):
            answer = agents.ask(agents.file_path(target, OLD, name), server)
            assert answer.status in (404, 405), f"{name} answers {answer}"


def _paths(world: World, agents: Agents, target: str) -> list[str]:
    """Every address at which the product has something to protect."""
    return [
        path
        for feed in ("", "main")
        for path in (
            agents.latest_path(target, feed),
            *(agents.file_path(target, OLD, name, feed) for name in private_files(world.spec)),
            *([agents.bundle_path(target, feed)] if world.spec.userspace else []),
        )
    ]


def _assert_refused(agents: Agents, paths: list[str], server: str | None, status: int) -> None:
    answers = {path: agents.ask(path, server).status for path in paths}
    other = {path: answer for path, answer in answers.items() if answer != status}
    assert not other, f"not answered with {status}: {other}"
