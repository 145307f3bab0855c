"""The world that the checks run in: a fresh portal with the plugin, made for each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from eportal_core.patchsets.spec import PatchsetSpec
from eportal_core.testing import examples
from eportal_core.testing.agents import View
from eportal_core.testing.world import World, open_world, plugins_of

#: Levels of the patchsets that the checks make: an old one, and one that takes its place.
OLD, NEW = 7, 2_021_012_902


class Checks:
    """What a test class sets; see ``ProductConformance``."""

    plugin: ClassVar[Any]
    spec: ClassVar[PatchsetSpec | None] = None
    names: ClassVar[Sequence[str]] = ()
    targets: ClassVar[Sequence[str]] = ()
    settings: ClassVar[Mapping[str, Any]] = {}
    others: ClassVar[Sequence[object]] = ()

    @pytest.fixture
    def product(self) -> PatchsetSpec:
        """The spec of the product that is tested."""
        spec = self.spec or getattr(self.plugin, "spec", None)
        if not isinstance(spec, PatchsetSpec):
            pytest.fail("The plugin has no attribute spec: set spec of the test class.", False)
        return spec

    @pytest.fixture
    def patchsets(self, product: PatchsetSpec) -> list[str]:
        """Three names of patchsets, oldest first."""
        return _examples(examples.names, product, self.names)

    @pytest.fixture
    def machines(self, product: PatchsetSpec) -> list[str]:
        """Three targets."""
        return _examples(examples.targets, product, self.targets)

    @pytest.fixture
    def new_world(
        self, product: PatchsetSpec, tmp_path: Path
    ) -> Callable[[str], AbstractContextManager[World]]:
        """Opens a portal of its own for each name."""

        def new(name: str) -> AbstractContextManager[World]:
            plugins = plugins_of(self.plugin, self.others)
            return open_world(plugins, product, tmp_path / name, self.settings)

        return new

    @pytest.fixture
    def world(self, new_world: Callable[[str], AbstractContextManager[World]]) -> Iterator[World]:
        with new_world("world") as world:
            yield world


def seen(world: World, latest: int, *older: int) -> View:
    """What a server gets whose feed has ``latest`` and ``older`` levels of a target."""
    return View(latest, frozenset({latest, *older}), latest if world.spec.userspace else None)


def _examples(
    choose: Callable[[PatchsetSpec, Sequence[str]], list[str]],
    spec: PatchsetSpec,
    given: Sequence[str],
) -> list[str]:
    try:
        return choose(spec, given)
    except ValueError as error:
        pytest.fail(str(error), pytrace=False)
