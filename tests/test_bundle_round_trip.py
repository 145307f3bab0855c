"""From a publisher to an agent that has no network above it, there and back and there again."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from tests.support.agents import basic
from tests.support.airgap import (
    FIRST,
    SECOND,
    THIRD,
    USERSPACE,
    World,
    archive,
    archives_in,
    make_world,
)
from tests.support.commands import CommandLine
from tests.support.patches import DB, WEB
from tests.support.polling import eventually
from tests.support.serving import Served, serving
from tests.support.upstreams import nginx


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path / "world")


def level(portal: Served, server: str, target: str) -> str:
    url = f"{portal.url}/{target}/latest.v1"
    return requests.get(url, headers=basic(server), timeout=10).text


def patch(portal: Served, server: str, path: str) -> bytes:
    answer = requests.get(f"{portal.url}/{path}", headers=basic(server), timeout=10)
    answer.raise_for_status()
    return answer.content


def test_round_trip(world: World, tmp_path: Path) -> None:
    trust = {"PATCH_SOURCE_FINGERPRINT": world.source.fingerprint}
    locations = f"        location / {{ root {world.source.folder}; }}"
    with (
        nginx(tmp_path / "nginx", locations) as url,
        # Whatever would leave the far portal ends at a port that nobody has.
        serving(world.far.data_dir, PROXY="http://127.0.0.1:9", **trust) as far,
    ):
        near = CommandLine(world.near.data_dir, {"PATCH_SOURCE_URL": url, **trust})
        near.ok("kcare", "update")
        first = world.folder / "first"
        near.ok("bundle", "create", first)
        assert archives_in(first) == {FIRST, SECOND, USERSPACE}

        far.cli.ok("key", "-a", "KEY")
        server = far.register("KEY")
        assert "no patches for this kernel" in level(far, server, WEB)
        far.cli.ok("bundle", "apply", "--feed", "main", first)
        eventually(lambda: level(far, server, WEB) == "2")
        kept = world.near.data_dir / "resources" / WEB / "2" / "kpatch.bin"
        assert patch(far, server, f"{WEB}/2/kpatch.bin") == kept.read_bytes()

        world.source.add(archive(world.folder, THIRD, {DB: 2}, 5000))
        second = world.folder / "second"
        near.ok("bundle", "create", "--since", world.receipt(first), second)
        assert archives_in(second) == {THIRD}
        far.cli.ok("bundle", "apply", "--feed", "main", second)
        eventually(lambda: level(far, server, DB) == "2")
        assert len(patch(far, server, f"{DB}/2/kpatch.bin")) == 5000
        assert level(far, server, WEB) == "2"


def test_a_feed_that_waits_gets_it_while_the_portal_serves(world: World) -> None:
    """No source is set that could be asked; what waits is enabled all the same."""
    bundle = world.create()
    far = world.far
    far.ok("feed", "-a", "late", "--auto", "--deploy-after", "24")
    world.applied(bundle)
    assert {row["feeds"]["late"] for row in far.json("kcare", "list")} == {"undeployed"}
    far.ok("feed", "-c", "late", "--deploy-after", "0")
    far.ok("jobs", "run", "update-patches", **world.far_environ)
    assert {row["feeds"]["late"] for row in far.json("kcare", "list")} == {"enabled"}


def test_cache_mode_has_no_use_for_a_bundle(world: World) -> None:
    bundle = world.create()
    world.far.ok("feed")
    done = world.far("bundle", "apply", bundle, EPORTAL_CACHE_MODE="True", **world.far_environ)
    assert done.code == 2
    assert "CACHE_MODE is on" in done.said
    assert world.here() == set()
