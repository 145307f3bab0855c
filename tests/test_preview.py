"""What managing a patchset will do is told before it is done, and is what happens then."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from eportal_core.agent.memory import Memory
from eportal_core.errors import Conflict, InvalidValue, NotFound
from eportal_core.models import Change, Facts
from eportal_core.operations import feeds, keys, patchsets, servers
from eportal_core.operations.patchsets import ACTIONS
from eportal_core.patchsets.cves import read_cves
from eportal_core.portal import Portal
from eportal_core.queries import usage
from eportal_core.queries.preview import Cve, Move, preview
from tests.support.agents import check_in, register
from tests.support.patches import DB, KERNEL, WEB, archive, kernel_id
from tests.support.polling import eventually

NONE = kernel_id("nobody has patches for it")
FIRST, SECOND, THIRD = "K20260101_01", "K20260201_01", "K20260301_01"


@pytest.fixture
def world(portal: Portal, tmp_path: Path) -> Portal:
    """Three patchsets, of which main has the first, and servers with three kernels."""
    feeds.add(portal, "test")
    keys.add(portal, "M")
    keys.add(portal, "T", feed="test")
    for name, levels in ((FIRST, {WEB: 1, DB: 1}), (SECOND, {WEB: 2}), (THIRD, {WEB: 3, DB: 3})):
        patchsets.deploy(portal, KERNEL, archive(tmp_path, name, levels))
    patchsets.undeploy_downto(portal, KERNEL, SECOND, "main")
    for number, kernel in enumerate((WEB, WEB, DB, NONE)):
        add_server(portal, "M", f"m{number}", kernel)
    add_server(portal, "T", "t1", WEB)
    return portal


def add_server(portal: Portal, key: str, hostname: str, kernel: str, level: int = 1) -> str:
    server = servers.register(portal, key, hostname, "10.0.0.1")
    Facts.update(kernel_id=kernel, patch_level=level).where(Facts.server == server.id).execute()
    return server.id


def told(memory: Memory, feed: str, targets: list[str]) -> dict[str, int | None]:
    """What the agent process answers to check-ins of these kernels."""
    memory.follow()
    answers = {target: memory.level("kernel", feed, target) for target in targets}
    return {target: None if level is None else int(level) for target, level in answers.items()}


def test_servers_move_from_level_to_level(world: Portal) -> None:
    found = preview(world, KERNEL, THIRD, {"main": "enable-upto", "test": "enable"})
    main, test = found.feeds
    assert found.knows_servers
    assert found.changes == 3
    assert sorted(main.changed) == [SECOND, THIRD]
    assert main.levels == {WEB: (1, 3), DB: (1, 3)}
    assert main.moves == [Move(1, 3, 3, 2)]
    assert main.servers == 3
    assert test.levels == {WEB: (None, 3)}
    assert test.moves == [Move(None, 3, 1, 1)]


def test_what_is_gained_and_lost_is_told(world: Portal) -> None:
    (main,) = preview(world, KERNEL, SECOND, {"main": "enable"}).feeds
    assert main.gained == [Cve("CVE-2026-00002", None, 2, 1)]
    assert main.lost == [Cve("CVE-2026-00001", None, 2, 1)]
    (main,) = preview(world, KERNEL, FIRST, {"main": "undeploy-downto"}).feeds
    assert main.gained == []
    assert main.lost == [Cve("CVE-2026-00001", None, 3, 2)]
    assert main.moves == [Move(1, None, 3, 2)]


def test_a_level_without_description_is_not_told_as_lost(world: Portal) -> None:
    store = world.stores()["kernel"]
    (store.tree / WEB / "2" / "kpatch.info").unlink()
    (main,) = preview(world, KERNEL, SECOND, {"main": "enable"}).feeds
    assert (main.gained, main.lost, main.undescribed) == ([], [], 1)
    assert main.moves == [Move(1, 2, 2, 1)]


def test_it_changes_nothing(world: Portal) -> None:
    before = Change.select().count()
    preview(world, KERNEL, THIRD, {"main": "enable-upto", "test": "disable"})
    assert Change.select().count() == before


def test_what_is_done_already_is_no_change(world: Portal) -> None:
    found = preview(world, KERNEL, FIRST, {"main": "enable", "test": "undeploy-downto"})
    assert found.changes == 0
    assert [each.moves for each in found.feeds] == [[], []]


def test_disabled_ones_are_skipped(world: Portal) -> None:
    patchsets.disable(world, KERNEL, SECOND, "main")
    (main,) = preview(world, KERNEL, THIRD, {"main": "enable-upto"}).feeds
    assert main.changed == [THIRD]


def test_servers_that_get_no_patches_are_not_counted(world: Portal) -> None:
    keys.add(world, "OFF")
    keys.add(world, "LIB", products=["libcare"])
    add_server(world, "OFF", "off", WEB)
    add_server(world, "LIB", "lib", WEB)
    keys.change(world, "OFF", enabled=False)
    (main,) = preview(world, KERNEL, SECOND, {"main": "enable"}).feeds
    assert main.servers == 2


def test_of_products_that_servers_do_not_tell_of_targets_are_counted(
    world: Portal, tmp_path: Path
) -> None:
    from eportal_core.patchsets.pack import pack
    from eportal_libcare import plugin

    content = tmp_path / "lib"
    build_id = "ab" * 20
    (content / build_id / "2026010101").mkdir(parents=True)
    (content / build_id / "2026010101" / "kpatch.bin").write_bytes(b"patch")
    path = tmp_path / "U20260101_01.tar.bz2"
    pack(content, path, plugin.spec)
    patchsets.deploy(world, plugin.spec.product, path, enable=False)
    found = preview(world, plugin.spec.product, "U20260101_01", {"main": "enable"})
    assert not found.knows_servers
    assert found.feeds[0].moves == [Move(None, 2026010101, 0, 1)]


def test_refusals(world: Portal) -> None:
    with pytest.raises(NotFound):
        preview(world, KERNEL, "K20270101_01", {"main": "enable"})
    with pytest.raises(NotFound):
        preview(world, KERNEL, "../etc", {"main": "enable"})
    with pytest.raises(NotFound):
        preview(world, KERNEL, FIRST, {"nowhere": "enable"})
    with pytest.raises(InvalidValue):
        preview(world, KERNEL, FIRST, {"main": "explode"})


def test_of_several_feeds_none_changes_when_one_is_refused(world: Portal) -> None:
    with pytest.raises(NotFound):
        patchsets.manage(world, KERNEL, THIRD, {"main": "enable", "nowhere": "enable"})
    assert preview(world, KERNEL, THIRD, {"main": "enable"}).changes == 1


def test_what_changed_meanwhile_is_not_done(world: Portal) -> None:
    actions = {"main": "enable-upto", "test": "enable"}
    mark = preview(world, KERNEL, THIRD, actions).mark
    patchsets.enable(world, KERNEL, SECOND, "main")
    with pytest.raises(Conflict, match="meanwhile"):
        patchsets.manage(world, KERNEL, THIRD, actions, mark=mark)
    assert preview(world, KERNEL, THIRD, {"test": "enable"}).changes == 1
    mark = preview(world, KERNEL, THIRD, actions).mark
    assert patchsets.manage(world, KERNEL, THIRD, actions, mark=mark) == {"main": 1, "test": 1}


@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_check_ins_get(portal: Portal, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    names = [f"K202601{day:02}_01" for day in range(1, 7)]
    kernels = [kernel_id(str(number)) for number in range(5)]
    for place, name in enumerate(names):
        # Some kernels are left out, and now and then a level is lower than the one before.
        levels = {
            kernel: max(1, place + chance.choice((-1, 1, 2))) * 10 + place
            for kernel in chance.sample(kernels[:4], 3)
        }
        patchsets.deploy(portal, KERNEL, archive(tmp_path, name, levels), enable=False)
        patchsets.manage(portal, KERNEL, name, {"main": chance.choice(("enable", "disable"))})
    feeds.add(portal, "test")
    for feed in ("main", "test"):
        keys.add(portal, f"KEY-{feed}", feed=feed)
        for number, kernel in enumerate(kernels):
            add_server(portal, f"KEY-{feed}", f"{feed}{number}", kernel)
    memory = Memory(portal)
    memory.load()
    for _ in range(12):
        actions = {feed: chance.choice(list(ACTIONS)) for feed in ("main", "test")}
        name = chance.choice(names)
        found = preview(portal, KERNEL, name, actions)
        before = {feed: told(memory, feed, kernels) for feed in actions}
        changed = patchsets.manage(portal, KERNEL, name, actions, mark=found.mark)
        for each in found.feeds:
            after = told(memory, each.feed, kernels)
            assert changed[each.feed] == len(each.changed)
            assert each.levels == differing(before[each.feed], after), (name, actions)
            assert each.servers == len(each.levels)
        assert preview(portal, KERNEL, name, actions).changes == 0


def differing(
    before: Mapping[str, int | None], after: Mapping[str, int | None]
) -> dict[str, tuple[int | None, int | None]]:
    return {key: (before[key], after[key]) for key in before if before[key] != after[key]}


def test_a_real_check_in_gets_what_was_told(world: Portal, agent: TestClient) -> None:
    server = register(agent, "M", "real")
    check_in(agent, server, WEB, patch_level=1)
    eventually(lambda: usage.kernels(world, KERNEL)["main"][WEB] == 3)
    assert check_in(agent, server, WEB).text == "1"
    found = preview(world, KERNEL, THIRD, {"main": "enable"})
    before, after = found.feeds[0].levels[WEB]
    assert (str(before), found.feeds[0].servers) == ("1", 4)
    patchsets.manage(world, KERNEL, THIRD, {"main": "enable"}, mark=found.mark)
    eventually(lambda: check_in(agent, server, WEB).text == str(after))


def test_usage_is_counted_as_the_list_of_servers_does(world: Portal) -> None:
    from eportal_core.queries.server_filter import ServerFilter
    from eportal_core.queries.server_pages import Listing, count

    add_server(world, "M", "newer", WEB, level=2)
    running = usage.running()
    assert running == {f"kernel/{FIRST}": {"main": 3, "test": 1}, f"kernel/{SECOND}": {"main": 1}}
    for patchset, of_feed in running.items():
        for feed, number in of_feed.items():
            wanted = ServerFilter(patchset=patchset.partition("/")[2], feed=feed)
            assert count(Listing(world, wanted)) == number


def test_cves_of_a_description(tmp_path: Path) -> None:
    path = tmp_path / "kpatch.info"
    path.write_bytes(
        b"OS: x\r\nkpatch-cve-of: CVE-2020-9999\n\n"
        b"kpatch-name: a\r\nkpatch-cve: CVE-2026-1234, CVE-2026-12345\r\nkpatch-cvss: 7.8\r\n\n"
        b"kpatch-name: b\nkpatch-cve: N/A\nkpatch-cvss: 9.9\n\n"
        b"kpatch-name: c\nkpatch-cve: CVE-2026-1234\nkpatch-cvss: 9.8 (high)\n\n"
        b"kpatch-name: d\nkpatch-cve: CVE-2026-77777\nkpatch-cvss: \xff\xfe\n"
        b"kpatch-description: CVE-2020-1111\n"
    )
    assert read_cves(path) == {
        "CVE-2026-1234": 9.8,
        "CVE-2026-12345": 7.8,
        "CVE-2026-77777": None,
    }
