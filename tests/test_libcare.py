"""What LibCare tells scanners: which build-ids have patches, and which libraries they are of."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from eportal_core.models import Level, Patchset, now
from eportal_core.operations import feeds, keys, patchsets
from eportal_core.patchsets.pack import pack
from eportal_core.portal import Portal
from eportal_libcare import plugin
from tests.support.agents import basic, register
from tests.support.inprocess import InProcess
from tests.support.polling import eventually

SPEC = plugin.spec
LIBCARE = SPEC.product
OLD_SSL, NEW_SSL, ZLIB = "aa" * 20, "bb" * 20, "cc" * 16


def archive(folder: Path, name: str, libraries: dict[str, tuple[str, str, int]]) -> Path:
    """build-id -> (library, distribution, level), packed."""
    content = folder / f"{name}-content"
    targets = {}
    for build_id, (library, distro, level) in libraries.items():
        place = content / build_id / str(level)
        place.mkdir(parents=True)
        (place / "kpatch.bin").write_bytes(f"{library} {level}".encode() * 100)
        targets[build_id] = {"level": level, "name": library, "distro": distro}
    (content / "patchset.json").write_text(json.dumps({"targets": targets}))
    path = folder / f"{name}.tar.gz"
    pack(content, path, SPEC)
    return path


@pytest.fixture(autouse=True)
def two_patchsets(portal: Portal, tmp_path: Path) -> None:
    """The old one in ``main``, the newer one in ``test`` alone."""
    feeds.add(portal, "test")
    keys.add(portal, "MAIN")
    keys.add(portal, "TEST", feed="test")
    keys.add(portal, "KERNEL", products=["kernel"])
    ssl, zlib = "libssl.so.3", "libz.so.1"
    old = archive(
        tmp_path,
        "U20260101_01",
        {OLD_SSL: (ssl, "debian12", 2026010101), ZLIB: (zlib, "debian12", 2026010101)},
    )
    new = archive(tmp_path, "U20260201_01", {NEW_SSL: (ssl, "debian12", 2026020101)})
    patchsets.deploy(portal, LIBCARE, old)
    patchsets.deploy(portal, LIBCARE, new, feed="test")
    patchsets.enable(portal, LIBCARE, "U20260101_01", "test")


@pytest.mark.parametrize("path", ["/libcare-patches.json", "/userspace-patches.json"])
def test_scanners_are_told_what_has_patches_in_main(agent: TestClient, path: str) -> None:
    told = agent.get(path).json()
    assert sorted(told) == [OLD_SSL, ZLIB]
    entry = told[OLD_SSL]
    assert entry["name"] == "libssl.so.3"
    assert entry["latest"] == 2026010101
    assert entry["flavor"] == "debian12"
    appeared = Patchset.get_by_id("libcare/U20260101_01").appeared
    assert entry["time"] == appeared.strftime("%Y-%m-%d %H:%M:%S")
    assert datetime.fromtimestamp(entry["timestamp"], UTC) == appeared.replace(microsecond=0)
    assert now() >= appeared


def test_the_latest_build_of_each_library_is_told(agent: TestClient) -> None:
    assert agent.get("/userspace.json").json() == {
        "debian12": {"libssl.so.3": OLD_SSL, "libz.so.1": ZLIB}
    }
    assert agent.get("/test/userspace.json").json() == {
        "debian12": {"libssl.so.3": NEW_SSL, "libz.so.1": ZLIB}
    }


def test_a_server_is_told_of_its_own_feed(agent: TestClient) -> None:
    server = register(agent, "TEST")
    told = agent.get("/libcare-patches.json", headers=basic(server)).json()
    assert sorted(told) == [OLD_SSL, NEW_SSL, ZLIB]


def test_credentials_count_where_none_are_needed(agent: TestClient) -> None:
    refused = register(agent, "KERNEL")
    assert agent.get("/libcare-patches.json", headers=basic(refused)).status_code == 403
    assert agent.get("/userspace.json", headers=basic("nobody")).status_code == 401
    assert agent.get("/none/userspace.json").status_code == 404


def test_what_is_withdrawn_is_not_told(portal: Portal, agent: TestClient) -> None:
    patchsets.unroll(portal, LIBCARE, "U20260101_01")
    assert agent.get("/libcare-patches.json").json() == {}
    assert agent.get("/userspace.json").json() == {}


def test_a_later_level_for_the_same_file_takes_its_place(
    portal: Portal, agent: TestClient, tmp_path: Path
) -> None:
    again = archive(tmp_path, "U20260301_01", {OLD_SSL: ("libssl.so.3", "debian12", 2026030101)})
    patchsets.deploy(portal, LIBCARE, again)
    assert agent.get("/libcare-patches.json").json()[OLD_SSL]["latest"] == 2026030101
    server = register(agent, "MAIN")
    path = f"/libcare/{OLD_SSL}/latest"
    eventually(lambda: agent.get(path, headers=basic(server)).text == "2026030101")


def test_an_answer_is_made_once_until_its_feed_changes(
    portal: Portal, agent: TestClient, tmp_path: Path
) -> None:
    before = agent.get("/libcare-patches.json").json()
    # Behind the portal's back: whoever reads the database again, tells.
    Level.delete().where(Level.target == OLD_SSL).execute()
    patchsets.enable(portal, LIBCARE, "U20260201_01", "test")
    assert agent.get("/libcare-patches.json").json() == before
    again = archive(tmp_path, "U20260301_01", {NEW_SSL: ("libssl.so.3", "debian12", 2026030101)})
    patchsets.deploy(portal, LIBCARE, again)
    eventually(lambda: sorted(agent.get("/libcare-patches.json").json()) == [NEW_SSL, ZLIB])


def test_a_feed_that_was_deleted_and_made_again_is_empty(portal: Portal, agent: TestClient) -> None:
    assert agent.get("/test/userspace.json").json() != {}
    feeds.remove(portal, "test")
    feeds.add(portal, "test")
    eventually(lambda: agent.get("/test/userspace.json").json() == {})


def test_update_says_that_there_is_no_source(portal: Portal, kc: InProcess) -> None:
    for command in (["update"], ["update", "--feed", "test"], ["auto-update"]):
        done = kc("libcare", *command)
        assert done.code == 1
        assert done.said.startswith("No patch source is set")
    assert (
        kc("libcare", "update", "--feed", "none").said
        == "There is no feed none: kc.eportal feed lists them."
    )
