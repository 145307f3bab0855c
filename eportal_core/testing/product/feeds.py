"""Two feeds: each server gets what its own has, or the one that its path begins with."""

from __future__ import annotations

from eportal_core.operations import feeds, patchsets
from eportal_core.testing.agents import View
from eportal_core.testing.product.base import NEW, OLD, Checks, seen
from eportal_core.testing.product.publishing import enable
from eportal_core.testing.world import World


class FeedChecks(Checks):
    def test_each_feed_has_its_own_level(
        self, world: World, patchsets: list[str], machines: list[str]
    ) -> None:
        target = _two_feeds(world, patchsets, machines)
        with world.agents() as agents:
            main, test = (agents.register(world.key(feed)) for feed in ("main", "test"))
            assert agents.views(main, [target], [OLD, NEW]) == [seen(world, OLD)]
            assert agents.views(test, [target], [OLD, NEW]) == [seen(world, NEW, OLD)]

    def test_a_path_may_begin_with_a_feed(
        self, world: World, patchsets: list[str], machines: list[str]
    ) -> None:
        target = _two_feeds(world, patchsets, machines)
        with world.agents() as agents:
            main, test = (agents.register(world.key(feed)) for feed in ("main", "test"))
            assert agents.views(main, [target], [OLD, NEW], feed="test") == [seen(world, NEW, OLD)]
            assert agents.views(test, [target], [OLD, NEW], feed="main") == [seen(world, OLD)]
            assert agents.views(main, [target], [OLD, NEW], feed="other") == [View()]

    def test_what_a_feed_has_not_any_more_is_not_served(
        self, world: World, patchsets: list[str], machines: list[str]
    ) -> None:
        target = _two_feeds(world, patchsets, machines)
        older, newer, _ = patchsets
        with world.agents() as agents:
            server = agents.register(world.key("test"))
            _change("disable", world, older)
            assert agents.views(server, [target], [OLD, NEW]) == [seen(world, NEW)]
            _change("undeploy_downto", world, newer)
            assert agents.views(server, [target], [OLD, NEW]) == [View()]
            _change("enable", world, older)
            assert agents.views(server, [target], [OLD, NEW]) == [seen(world, OLD)]
            _change("enable_upto", world, older)
            assert agents.views(server, [target], [OLD, NEW]) == [seen(world, OLD)]
            _change("enable_upto", world, newer)
            assert agents.views(server, [target], [OLD, NEW]) == [seen(world, NEW, OLD)]


def _two_feeds(world: World, names: list[str], targets: list[str]) -> str:
    """The older of two patchsets is in both feeds, the newer in ``test``; returns their target."""
    feeds.add(world.portal, "test")
    world.deploy(world.pack(names[0], {targets[0]: OLD, targets[1]: OLD}))
    enable(world, names[0], "test")
    world.deploy(world.pack(names[1], {targets[0]: NEW}), feed="test")
    return targets[0]


def _change(operation: str, world: World, name: str) -> None:
    getattr(patchsets, operation)(world.portal, world.spec.product, name, "test")
