"""Patch files: the right bytes to those who may have them, and no other file of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from eportal_core.operations import feeds, keys, patchsets
from eportal_core.patchsets.pack import pack
from eportal_core.portal import Portal
from tests.support.agents import basic, register
from tests.support.patches import DB, KERNEL, SPEC, WEB, archive, kernel_id, patch_dir
from tests.support.polling import eventually
from tests.support.serving import Served, serving
from tests.support.wire import exchange, request

OLD, NEW = "K20260101_01", "K20260201_01"
SIZE = 200_000
SIGNATURE = bytes(range(256))


@pytest.fixture
def fleet(portal: Portal, tmp_path: Path) -> Portal:
    """Level 1 in ``main`` and ``slow``, level 2 with a signature in ``main`` alone."""
    feeds.add(portal, "slow")
    patchsets.deploy(portal, KERNEL, archive(tmp_path, OLD, {WEB: 1}))
    patchsets.enable(portal, KERNEL, OLD, "slow")
    patchsets.deploy(portal, KERNEL, signed(tmp_path))
    keys.add(portal, "K1")
    keys.add(portal, "K2", feed="slow")
    return portal


def signed(folder: Path) -> Path:
    content = patch_dir(folder / "signed", {WEB: 2}, SIZE)
    for name in ("kpatch.bin", "kpatch.info"):
        (content / WEB / "2" / f"{name}.sig").write_bytes(SIGNATURE + name.encode())
    path = folder / f"{NEW}.tar.bz2"
    pack(content, path, SPEC)
    return path


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    """``kpatch.bin`` of level 2 as it was packed."""
    return (patch_dir(tmp_path / "expected", {WEB: 2}, SIZE) / WEB / "2/kpatch.bin").read_bytes()


@pytest.fixture
def server(fleet: Portal, agent: TestClient) -> dict[str, str]:
    """The credentials of a server of ``main``."""
    return basic(register(agent, "K1"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, str]]:
    """A served portal with a level, and the header of a server that may have it."""
    folder = tmp_path_factory.mktemp("files")
    with serving(folder / "var") as served:
        served.cli.ok("kcare", "deploy", archive(folder, OLD, {WEB: 1}))
        server = served.register(served.cli.ok("key", "-a").strip())
        yield served, f"Authorization: {basic(server)['Authorization']}"


BIN = f"/{WEB}/2/kpatch.bin"


class TestContent:
    def test_bytes(self, agent: TestClient, server: dict[str, str], content: bytes) -> None:
        answer = agent.get(BIN, headers=server)

        assert answer.status_code == 200
        assert answer.content == content
        assert answer.headers["content-length"] == str(SIZE)
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["accept-ranges"] == "bytes"

    @pytest.mark.parametrize("name", ["kpatch.bin", "kpatch.info"])
    def test_signatures(self, agent: TestClient, server: dict[str, str], name: str) -> None:
        answer = agent.get(f"/{WEB}/2/{name}.sig", headers=server)

        assert answer.content == SIGNATURE + name.encode()

    def test_head(self, agent: TestClient, server: dict[str, str]) -> None:
        answer = agent.head(BIN, headers=server)

        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-length"] == str(SIZE)
        assert answer.headers["etag"]

    def test_ranges(self, agent: TestClient, server: dict[str, str], content: bytes) -> None:
        for asked, part in (
            ("bytes=0-9", slice(0, 10)),
            ("bytes=100-", slice(100, None)),
            ("bytes=-7", slice(-7, None)),
            ("bytes=5-99999999", slice(5, None)),
        ):
            answer = agent.get(BIN, headers={**server, "Range": asked})
            assert answer.status_code == 206
            assert answer.content == content[part]
            start, end, _ = part.indices(SIZE)
            assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"

    def test_a_range_behind_the_end(self, agent: TestClient, server: dict[str, str]) -> None:
        answer = agent.get(BIN, headers={**server, "Range": f"bytes={SIZE}-"})

        assert answer.status_code == 416
        assert answer.headers["content-range"] == f"bytes */{SIZE}"

    def test_ranges_that_are_none(self, agent: TestClient, server: dict[str, str]) -> None:
        for asked in ("bytes=9-1", f"bytes={'9' * 5000}-", "bytes=a-b", "bytes", "lines=1-2"):
            answer = agent.get(BIN, headers={**server, "Range": asked})
            assert answer.status_code in (200, 400, 416), asked

    def test_many_ranges_cost_no_more_than_the_file(
        self, agent: TestClient, server: dict[str, str]
    ) -> None:
        asked = "bytes=" + ",".join(["0-"] * 5000)

        answer = agent.get(BIN, headers={**server, "Range": asked})

        assert len(answer.content) <= SIZE

    def test_a_broken_download_goes_on(
        self, agent: TestClient, server: dict[str, str], content: bytes
    ) -> None:
        etag = agent.head(BIN, headers=server).headers["etag"]
        rest = {**server, "Range": "bytes=1000-", "If-Range": etag}

        assert agent.get(BIN, headers=rest).content == content[1000:]
        changed = agent.get(BIN, headers={**rest, "If-Range": '"other"'})
        assert (changed.status_code, changed.content) == (200, content)

    def test_what_the_agent_has_already(self, agent: TestClient, server: dict[str, str]) -> None:
        etag = agent.head(BIN, headers=server).headers["etag"]

        for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
            answer = agent.get(BIN, headers={**server, "If-None-Match": known})
            assert (answer.status_code, answer.content) == (304, b""), known
            assert answer.headers["etag"] == etag
        assert agent.get(BIN, headers={**server, "If-None-Match": '"x"'}).status_code == 200


class TestWho:
    def test_information_is_public_and_patches_are_not(
        self, fleet: Portal, agent: TestClient
    ) -> None:
        info = agent.get(f"/{WEB}/2/kpatch.info")

        assert info.status_code == 200
        assert "kpatch-cve: CVE-2026-00002" in info.text
        assert agent.get(f"/{WEB}/2/kpatch.info.sig").status_code == 200
        for name in ("kpatch.bin", "kpatch.bin.sig", "nosuch"):
            refused = agent.get(f"/{WEB}/2/{name}")
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == 'Basic realm="ePortal"'

    def test_an_unknown_id(self, fleet: Portal, agent: TestClient) -> None:
        assert agent.get(BIN, headers=basic("nobody")).status_code == 401
        assert agent.get(f"/{WEB}/2/kpatch.info", headers=basic("nobody")).status_code == 401

    def test_a_disabled_key(self, fleet: Portal, agent: TestClient, server: dict[str, str]) -> None:
        keys.change(fleet, "K1", enabled=False)

        eventually(lambda: agent.get(BIN, headers=server).status_code == 403)

    def test_only_levels_of_the_feed(self, fleet: Portal, agent: TestClient) -> None:
        slow = basic(register(agent, "K2"))

        assert agent.get(f"/{WEB}/1/kpatch.bin", headers=slow).status_code == 200
        assert agent.get(BIN, headers=slow).status_code == 404
        assert agent.get(f"/main{BIN}", headers=slow).status_code == 200

    def test_the_feed_in_the_path(self, agent: TestClient, server: dict[str, str]) -> None:
        assert agent.get(f"/slow{BIN}", headers=server).status_code == 404
        assert agent.get(f"/slow/{WEB}/1/kpatch.bin", headers=server).status_code == 200
        assert agent.get(f"/slow/{WEB}/1/kpatch.info").status_code == 200
        assert agent.get(f"/nosuch/{WEB}/1/kpatch.info").status_code == 404

    def test_what_was_withdrawn(
        self, fleet: Portal, agent: TestClient, server: dict[str, str]
    ) -> None:
        patchsets.disable(fleet, KERNEL, NEW, "main")
        assert agent.get(BIN, headers=server).status_code == 404
        patchsets.enable(fleet, KERNEL, NEW, "main")
        assert agent.get(BIN, headers=server).status_code == 200
        patchsets.unroll(fleet, KERNEL, NEW)
        assert agent.get(BIN, headers=server).status_code == 404
        patchsets.unroll(fleet, KERNEL, NEW, delete=True)
        assert agent.get(BIN, headers=server).status_code == 404
        assert agent.get(f"/{WEB}/1/kpatch.bin", headers=server).status_code == 200


class TestVersion:
    """Whether a kernel is supported; anybody may ask."""

    def test_supported(self, fleet: Portal, agent: TestClient) -> None:
        assert agent.get(f"/{WEB}/version").status_code == 200
        assert agent.get(f"/{DB}/version").status_code == 404
        assert agent.get(f"/{kernel_id('x')}/version").status_code == 404

    def test_by_a_feed(self, fleet: Portal, agent: TestClient, tmp_path: Path) -> None:
        patchsets.deploy(fleet, KERNEL, archive(tmp_path, "K20260301_01", {DB: 9}))

        eventually(lambda: agent.get(f"/main/{DB}/version").status_code == 200)
        assert agent.get(f"/{DB}/version").status_code == 200
        assert agent.get(f"/slow/{DB}/version").status_code == 404
        assert agent.get(f"/nosuch/{DB}/version").status_code == 404


class TestPaths:
    """What only a socket can send: no path leads to another file, none is an error of ours."""

    @pytest.mark.parametrize(
        "path",
        [
            "/{web}/1/..%2f1%2fkpatch.bin",
            "/{web}/1/%2e%2e",
            "/{web}/1/../1/kpatch.bin",
            "/{web}/1/./kpatch.bin",
            "/{web}//1/kpatch.bin",
            "//{web}/1/kpatch.bin",
            "/{web}/1/kpatch.bin%00",
            "/{web}/1/%00",
            "/{web}/1/.",
            "/{web}/1/%2e",
            "/{web}/1/%5c",
            "/{web}/1/kpatch.bin%0a",
            "/{web}%00/1/kpatch.bin",
            "/{web}%0a/1/kpatch.bin",
            "/{upper}/1/kpatch.bin",
            "/..%2fresources%2f{web}/1/kpatch.bin",
            "/../../../../etc/passwd",
            "/%2e%2e/1/eportal.sqlite",
            "/..%2f..%2f..%2f..%2fetc/1/passwd",
            "/%2fetc/1/passwd",
            "//etc/passwd",
            "/etc/passwd",
            "/arch/1/" + OLD + ".tar.bz2",
            "/../1/instance-id",
            "/{web}/01/kpatch.bin",
            "/{web}/0/kpatch.bin",
            "/{web}/-1/kpatch.bin",
            "/{web}/+1/kpatch.bin",
            "/{web}/1.0/kpatch.bin",
            "/{web}/%EF%BC%91/kpatch.bin",
            "/{web}/%D9%A1/kpatch.bin",
            "/{web}/" + "9" * 11 + "/kpatch.bin",
            "/{web}/" + "9" * 30 + "/kpatch.bin",
            "/{web}/" + "9" * 300 + "/kpatch.bin",
            "/{web}/" + "9" * 5000 + "/kpatch.bin",
            "/main/{web}/" + "9" * 5000 + "/kpatch.bin",
            "/{web}/1/" + "a" * 300,
            "/{web}/1/" + "a" * 30_000,
            "/" + "a" * 30_000 + "/1/kpatch.bin",
            "/" + "a/" * 15_000,
            "/" + "a" * 100_000,
            "/%",
            "/%zz/1/kpatch.bin",
            "/%ff%fe/1/kpatch.bin",
            "/%ED%A0%80/1/kpatch.bin",
            "/\xff/1/kpatch.bin",
            "*",
            "http://elsewhere",
            "http://elsewhere/etc/passwd",
            "",
        ],
        ids=lambda path: path[:40],
    )
    def test_tricks(self, world: tuple[Served, str], path: str) -> None:
        served, authorization = world

        reply = exchange(
            served.url, request(path.format(web=WEB, upper=WEB.upper()), authorization)
        )

        assert reply.status in (400, 404), reply
        assert len(reply.body) < 200

    def test_what_the_tricks_were_made_from(self, world: tuple[Served, str]) -> None:
        served, authorization = world

        reply = exchange(served.url, request(f"/{WEB}/1/kpatch.bin", authorization))

        assert reply.status == 200
        expected = f"patch 1 for {WEB}\n".encode()
        assert reply.body.startswith(expected)

    def test_a_percent_sign_changes_nothing(self, world: tuple[Served, str]) -> None:
        served, authorization = world
        encoded = f"/{WEB}/1/%6bpatch.bin"

        assert exchange(served.url, request(encoded, authorization)).status == 200
