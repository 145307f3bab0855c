"""``/esu/…``: the mirror to servers whose key has the product, and no other file to anybody."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from eportal_core import db
from eportal_core.agent.app import agent_app
from eportal_core.operations import keys
from eportal_core.portal import Portal
from eportal_core.web.proxies import TrustedProxies
from tests.support.agents import basic, register
from tests.support.esu_world import REPOSITORY, Packages, World, packages, world
from tests.support.inprocess import InProcess
from tests.support.opening import opened
from tests.support.serving import Served, serving
from tests.support.wire import exchange, request

HELLO = "Packages/h/hello-1.0-1.noarch.rpm"
BASE = f"/esu/{REPOSITORY}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Packages]:
    with packages(tmp_path_factory.mktemp("made")) as found:
        yield found


@pytest.fixture
def esu(made: Packages, tmp_path: Path) -> Iterator[World]:
    with world(made, tmp_path, mirrored=True) as found:
        yield found


@pytest.fixture
def portal(esu: World) -> Iterator[Portal]:
    key = str(esu.made.key)
    fresh = opened(esu.data_dir, ESU_REPOSITORIES=[REPOSITORY], ESU_GPG_KEY=key)
    with db.connection():
        keys.add(fresh, "ESU", products=["tuxcare-esu"])
        keys.add(fresh, "OTHER")
        yield fresh
    db.close()


@pytest.fixture
def server(agent: TestClient) -> dict[str, str]:
    return basic(register(agent, "ESU"))


class TestAccess:
    def test_a_server_with_the_product(
        self, agent: TestClient, server: dict[str, str], esu: World
    ) -> None:
        for path, content in esu.seen().items():
            answer = agent.get(f"{BASE}/{path}", headers=server)
            assert answer.status_code == 200, path
            assert answer.content == content

    def test_ranges_and_etags(self, agent: TestClient, server: dict[str, str], esu: World) -> None:
        content = esu.seen()[HELLO]
        part = agent.get(f"{BASE}/{HELLO}", headers={**server, "Range": "bytes=100-"})
        assert (part.status_code, part.content) == (206, content[100:])
        known = {**server, "If-None-Match": part.headers["etag"]}
        assert agent.get(f"{BASE}/{HELLO}", headers=known).status_code == 304
        head = agent.head(f"{BASE}/{HELLO}", headers=server)
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(content)))

    @pytest.mark.parametrize("path", [HELLO, "repodata/repomd.xml", "nothing"])
    def test_others(self, agent: TestClient, path: str) -> None:
        answer = agent.get(f"{BASE}/{path}")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic")
        assert agent.get(f"{BASE}/{path}", headers=basic("unknown")).status_code == 401
        other = basic(register(agent, "OTHER"))
        assert agent.get(f"{BASE}/{path}", headers=other).status_code == 403

    def test_the_product_goes_by_its_older_name_too(self, esu: World) -> None:
        kc = InProcess(esu.data_dir)
        kc.ok("key", "-a", "K", "--product", "tuxcare-repo")
        (row,) = kc.json("key")
        assert row["products"] == ["tuxcare-esu"]

    def test_the_public_key_is_anybodys(self, agent: TestClient, esu: World) -> None:
        answer = agent.get("/esu-gpg-key")
        assert (answer.status_code, answer.content) == (200, esu.made.key.read_bytes())


class TestScript:
    def test_it_is_made_for_who_asks(self, agent: TestClient) -> None:
        answer = agent.get("/install-tuxcare")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"

    def test_a_host_that_is_none(self, portal: Portal) -> None:
        behind_a_proxy = TrustedProxies(agent_app(portal), ["testclient"])

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await behind_a_proxy(scope, receive, send)

        with TestClient(app) as agent:
            answer = agent.get("/install-tuxcare", headers={"Host": "a_b"})
        assert answer.status_code == 400
        assert said_by_bash(answer.text) == "The Host header of the request does not name a host."

    def test_nothing_is_mirrored(self, agent: TestClient, esu: World) -> None:
        (esu.mirror / "repodata").unlink()
        answer = agent.get("/install-tuxcare")
        assert answer.status_code == 404
        assert said_by_bash(answer.text) == "This portal mirrors no ESU repositories."


def said_by_bash(script: str) -> str:
    """The sentence of ``curl -s PORTAL/install-tuxcare | bash``, which must fail."""
    done = subprocess.run(["bash"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr.removeprefix("install-tuxcare: ").rstrip("\n")


class TestGenerations:
    def test_a_client_between_two_generations(
        self, agent: TestClient, server: dict[str, str], esu: World
    ) -> None:
        """It read repomd.xml a moment ago: signature, metadata and packages still fit."""
        before = esu.seen()
        agent.get(f"{BASE}/repodata/repomd.xml", headers=server)
        esu.remove(HELLO)
        esu.add("world")
        esu.publish()
        esu.update()

        for path, content in before.items():
            if path != "repodata/repomd.xml":
                answer = agent.get(f"{BASE}/{path}", headers=server)
                assert answer.content == content, path

        agent.get(f"{BASE}/repodata/repomd.xml", headers=server)
        for path, content in esu.seen().items():
            answer = agent.get(f"{BASE}/{path}", headers=server)
            assert answer.content == content, path

    def test_a_package_under_way_is_no_file(
        self, agent: TestClient, server: dict[str, str], esu: World
    ) -> None:
        href = esu.add("world")
        esu.publish()
        esu.upstream.cut = {href: 500}
        assert esu.run("update").code == 1
        assert list((esu.mirror / ".incoming").glob("*.part"))
        assert agent.get(f"{BASE}/{href}", headers=server).status_code == 404
        seen = agent.get(f"{BASE}/repodata/repomd.xml", headers=server)
        assert b"<revision>1000<" in seen.content


@pytest.fixture(scope="module")
def served(
    made: Packages, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Served, str, World]]:
    """A served mirror with links that lead out of it, and the header of a server that has it."""
    folder = tmp_path_factory.mktemp("served")
    with (
        world(made, folder, mirrored=True) as esu,
        serving(esu.data_dir, **esu.settings) as portal,
    ):
        portal.cli.ok("key", "-a", "ESU", "--product", "tuxcare-esu")
        server = portal.register("ESU")
        outside = esu.data_dir / "outside.rpm"
        outside.write_text("secret")
        (esu.mirror / "Packages/link.rpm").symlink_to(outside)
        (esu.mirror / "Packages/folder").symlink_to("/etc")
        yield portal, f"Authorization: {basic(server)['Authorization']}", esu


class TestPaths:
    @pytest.mark.parametrize(
        "path",
        [
            "",
            "/",
            "/repodata",
            "/repodata/",
            "/repodata/../../../../eportal.sqlite",
            "/%2e%2e/%2e%2e/%2e%2e/eportal.sqlite",
            "/..%2f..%2f..%2feportal.sqlite",
            "/Packages/../repodata/repomd.xml",
            "//etc/hostname",
            "/%2fetc/hostname",
            "/Packages/link.rpm",
            "/Packages/folder/hostname",
            "/.mirrored",
            "/.generations/{generation}/repomd.xml",
            "/%2egenerations/{generation}/repomd.xml",
            "/repodata/repomd.xml%00",
            "/repodata/repomd.xml/",
            "/repodata/.",
            "/Packages/h",
            "/" + "a" * 300,
            "/" + "a/" * 3000,
        ],
    )
    def test_nothing_else(self, served: tuple[Served, str, World], path: str) -> None:
        portal, authorization, esu = served
        current = (esu.mirror / "repodata").readlink().name
        reply = exchange(portal.url, request(BASE + path.format(generation=current), authorization))
        assert reply.status in (400, 404), reply
        assert len(reply.body) < 200

    @pytest.mark.parametrize("path", ["/esu/.lock", "/esu/", "/esu/almalinux9"])
    def test_above_the_repository(self, served: tuple[Served, str, World], path: str) -> None:
        portal, authorization, _ = served
        assert exchange(portal.url, request(path, authorization)).status == 404

    def test_what_the_tricks_were_made_from(self, served: tuple[Served, str, World]) -> None:
        portal, authorization, esu = served
        reply = exchange(portal.url, request(f"{BASE}/{HELLO}", authorization))
        assert (reply.status, reply.body) == (200, esu.seen()[HELLO])
