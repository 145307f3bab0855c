"""A deploy or a deletion that is killed, at each of its steps."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path

from eportal_core.testing.agents import Agents, View
from eportal_core.testing.crash import COMMIT, work_and_die
from eportal_core.testing.product.base import NEW, OLD, Checks, seen
from eportal_core.testing.product.publishing import unroll
from eportal_core.testing.world import World


class CrashChecks(Checks):
    def test_a_killed_deploy_shows_all_or_nothing_and_is_mended(
        self,
        new_world: Callable[[str], AbstractContextManager[World]],
        patchsets: list[str],
        machines: list[str],
        tmp_path: Path,
    ) -> None:
        older, newer, _ = patchsets
        changed, added, _ = machines
        steps = []

        def views(agents: Agents, server: str) -> list[View]:
            return agents.views(server, [changed, added], [OLD, NEW])

        with new_world("before") as world:
            world.deploy(world.pack(older, {changed: OLD}))
            archive = world.pack(newer, {changed: NEW, added: NEW})
            before = world.files()
            nothing = [seen(world, OLD), View()]
            everything = [seen(world, NEW, OLD), seen(world, NEW)]
        shutil.copytree(tmp_path / "before", tmp_path / "after")
        with new_world("after") as world:
            world.deploy(archive)
            after = world.files()
        for moment in count(1):
            shutil.copytree(tmp_path / "before", tmp_path / f"killed{moment}")
            with new_world(f"killed{moment}") as world:
                step = work_and_die(world, lambda world: world.deploy(archive), moment)
                is_done = COMMIT in steps
                steps.append(step)
                with world.agents() as agents:
                    server = agents.register(world.key())
                    expected = everything if is_done else nothing
                    assert views(agents, server) == expected, f"killed before {step}"
                    world.portal.storage.sweep()
                    left = after if is_done else before
                    assert not world.differs_from(left), f"killed before {step}, then swept"
                    assert world.verify().exit_code == 0, world.verify().output
                    world.deploy(archive)
                    assert views(agents, server) == everything
                assert not world.differs_from(after)
            if not step:
                break
        # It was killed before anything was renamed, between renames, and after the transaction.
        assert steps.index(COMMIT) > 1
        assert steps.index(COMMIT) < len(steps) - 2

    def test_a_killed_deletion_shows_all_or_nothing_and_is_mended(
        self,
        new_world: Callable[[str], AbstractContextManager[World]],
        patchsets: list[str],
        machines: list[str],
        tmp_path: Path,
    ) -> None:
        older, newer, _ = patchsets
        changed, added, _ = machines
        steps: list[str] = []

        def delete(world: World) -> None:
            unroll(world, newer, delete=True)

        with new_world("before") as world:
            world.deploy(world.pack(older, {changed: OLD}))
            world.deploy(world.pack(newer, {changed: NEW, added: NEW}))
            before = world.files()
            everything = [seen(world, NEW, OLD), seen(world, NEW)]
            nothing = [seen(world, OLD), View()]
        shutil.copytree(tmp_path / "before", tmp_path / "after")
        with new_world("after") as world:
            delete(world)
            after = world.files()
        for moment in count(1):
            shutil.copytree(tmp_path / "before", tmp_path / f"killed{moment}")
            with new_world(f"killed{moment}") as world:
                step = work_and_die(world, delete, moment)
                is_done = COMMIT in steps
                steps.append(step)
                with world.agents() as agents:
                    server = agents.register(world.key())
                    views = agents.views(server, [changed, added], [OLD, NEW])
                    assert views == (nothing if is_done else everything), f"killed before {step}"
                world.portal.storage.sweep()
                left = after if is_done else before
                assert not world.differs_from(left), f"killed before {step}, then swept"
                assert world.verify().exit_code == 0, world.verify().output
            if not step:
                break
        # It was killed before the transaction, and between all that is removed after it.
        assert 0 < steps.index(COMMIT) < len(steps) - 3
