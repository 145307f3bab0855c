"""The plugin is taken, and stands beside all that is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eportal_core.agent.app import agent_app
from eportal_core.cli import build
from eportal_core.patchsets.spec import PatchsetSpec
from eportal_core.plugins import load
from eportal_core.testing.product.base import OLD, Checks, seen
from eportal_core.testing.world import Bystander, World, open_world


class LoadingChecks(Checks):
    def test_it_brings_its_product(self, world: World) -> None:
        product = world.spec.product
        assert world.portal.products[product.name] == product
        assert world.portal.stores()[product.name].spec == world.spec

    def test_it_leaves_other_products_alone(
        self, world: World, patchsets: list[str], machines: list[str]
    ) -> None:
        archive = world.pack(patchsets[0], {machines[0]: OLD})
        asked: dict[str, dict[str, Any]] = {
            "eportal_deploy": {"archive": archive},
            "eportal_unroll": {"patchset": patchsets[0], "delete": False},
        }
        with world.portal.storage.exclusive():
            for hook, told in asked.items():
                answer = world.portal.ask(
                    hook, portal=world.portal, product=Bystander.product.name, **told
                )
                assert answer is None, f"{hook} answers for the product of another plugin"

    def test_it_stands_beside_what_is_installed(
        self, product: PatchsetSpec, patchsets: list[str], machines: list[str], tmp_path: Path
    ) -> None:
        plugins = load()
        for number, plugin in enumerate([self.plugin, *self.others]):
            if not plugins.manager.is_registered(plugin):
                plugins.manager.register(plugin, f"tested{number}")
        # Each of them refuses when two plugins bring the same.
        build(plugins)
        with open_world(plugins, product, tmp_path / "all", self.settings) as world:
            world.portal.trees()
            agent_app(world.portal)
            # Paths that begin with a feed are those that another product might answer.
            world.deploy(world.pack(patchsets[0], {machines[0]: OLD}))
            with world.agents() as agents:
                server = agents.register(world.key())
                views = agents.views(server, machines[:1], [OLD], feed="main")
                assert views == [seen(world, OLD)]
