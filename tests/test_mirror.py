"""A portal that hands on the patch source which it reads itself, to portals below it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import pytest
import requests
from starlette.testclient import TestClient
from tuf.api.metadata import Metadata, Root

from eportal_core import db
from eportal_core.agent.app import agent_app
from eportal_core.caching.evicting import evict_cache
from eportal_core.config import Config
from eportal_core.errors import InvalidValue
from eportal_core.models import MAIN
from eportal_core.operations import keys, updates
from eportal_core.source import metadata
from eportal_core.source.places import Web
from tests.support.agents import basic, register
from tests.support.commands import CommandLine
from tests.support.inprocess import InProcess
from tests.support.opening import opened
from tests.support.patches import DB, KERNEL, WEB
from tests.support.publishing import Publisher
from tests.support.serving import Served, free_ports, serving
from tests.support.sources import spoil, stranger
from tests.support.updating import Below
from tests.support.upstreams import Upstream, upstream

ONE, TWO, LIB = "K20260101_01", "K20260201_01", "U20260101_01"
BIN = f"{WEB}/1/kpatch.bin"
CREDENTIALS = ("site", "pass:wört")
BASIC = (CREDENTIALS[0].encode(), CREDENTIALS[1].encode())


@dataclass(frozen=True)
class Chain:
    """A publisher, his source on a server that counts, and portal A, which mirrors it."""

    folder: Path
    publisher: Publisher
    source: Upstream
    a: Below
    above: Served

    def show(self) -> None:
        """What is published now is what the server has."""
        for path in self.publisher.folder.rglob("*"):
            if path.is_file():
                self.source.files[f"/{path.relative_to(self.publisher.folder)}"] = path.read_bytes()

    def below(self, name: str = "b", url: str = "", **settings: str) -> Below:
        """A portal that reads A, or another address."""
        own = {
            "PATCH_SOURCE_URL": url or f"{self.above.url}/source",
            "PATCH_SOURCE_FINGERPRINT": self.publisher.source.fingerprint,
            "PATCH_SOURCE_USER": CREDENTIALS[0],
            "PATCH_SOURCE_PASSWORD": CREDENTIALS[1],
        }
        return Below(InProcess(self.folder / name), {**own, **settings})

    def get(self, path: str, **headers: str) -> requests.Response:
        url = f"{self.above.url}/source/{path}"
        return requests.get(url, auth=BASIC, headers=headers, timeout=60, allow_redirects=False)

    def archive(self, name: str) -> str:
        """Where the archive of a kernel patchset is in the source."""
        return str(self.publisher.stored(name).relative_to(self.publisher.folder))

    def asked(self, part: str) -> list[str]:
        return [path for path in self.source.paths() if part in path]

    @property
    def data(self) -> Path:
        return self.a.kc.data_dir


@contextmanager
def chained(folder: Path, **more: str) -> Iterator[Chain]:
    """Two kernel patchsets and one of libraries; A has read nothing yet."""
    publisher = Publisher.start(folder / "publisher")
    first = publisher.pack(ONE, {WEB: 1}, size=100_000)
    publisher.list(first, publisher.pack(TWO, {WEB: 2, DB: 1}), publisher.pack(LIB, {"c" * 40: 1}))
    with upstream() as source:
        settings = {
            "PATCH_SOURCE_URL": source.url,
            "PATCH_SOURCE_ROOT": str(publisher.root),
            "PUBLISH_SOURCE": "mirror",
            "PUBLISH_SOURCE_USER": CREDENTIALS[0],
            "PUBLISH_SOURCE_PASSWORD": CREDENTIALS[1],
            **more,
        }
        with serving(folder / "a", "--only", "agent", **settings) as above:
            a = Below(InProcess(folder / "a"), settings)
            chain = Chain(folder, publisher, source, a, above)
            chain.show()
            yield chain


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A has all that the source lists of both products; tests leave it so."""
    with chained(tmp_path_factory.mktemp("chain")) as made:
        made.a.ok("kcare", "update")
        made.a.ok("libcare", "update")
        yield made


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A has the kernel patchsets; each test moves the source on."""
    with chained(tmp_path_factory.mktemp("moving")) as made:
        made.a.ok("kcare", "update")
        yield made


def file_of(below: Below, path: str) -> tuple[int, bytes]:
    """What the portal answers to an agent in main that asks for ``path``."""
    given = {name: value == "True" or value for name, value in below.settings.items()}
    portal = opened(below.kc.data_dir, **given)
    try:
        with db.connection(), TestClient(agent_app(portal)) as agent:
            server = register(agent, keys.add(portal, feed=MAIN, products=[KERNEL.name]).key)
            answer = agent.get(f"/{path}", headers=basic(server))
            return answer.status_code, answer.content
    finally:
        db.close()


def original(chain: Chain, path: str) -> bytes:
    return (chain.publisher.folder / "targets/kernel/files" / path).read_bytes()


def test_a_patch_travels_from_the_publisher_through_two_portals(chain: Chain) -> None:
    asked = len(chain.source.asked)
    b = chain.below("travel")
    b.ok("kcare", "update")
    assert b.states() == {ONE: "enabled", TWO: "enabled"}
    assert b.kc("kcare", "verify").code == 0
    assert file_of(b, BIN) == (200, original(chain, BIN))
    wrong = b("kcare", "update", PATCH_SOURCE_PASSWORD="wrong")
    assert (wrong.code, "401" in wrong.said) == (1, True)
    b.ok("libcare", "update")
    assert b.states(command="libcare") == {LIB: "enabled"}
    # All of it was at A.
    assert len(chain.source.asked) == asked


def test_all_is_handed_on_as_it_was_signed(chain: Chain) -> None:
    roles = ("root", "timestamp", "snapshot", "targets", "kernel", "libcare")
    newest = [chain.publisher.source.file(role) for role in roles]
    targets = [path for path in chain.publisher.folder.glob("targets/**/*") if path.is_file()]
    for path in (*newest, *targets):
        answer = chain.get(str(path.relative_to(chain.publisher.folder)))
        assert (answer.status_code, answer.content) == (200, path.read_bytes()), path
        url = f"{chain.above.url}/source/{path.relative_to(chain.publisher.folder)}"
        head = requests.head(url, auth=BASIC, timeout=10)
        assert (head.headers["content-length"], head.content) == (str(path.stat().st_size), b"")
    archive = chain.archive(ONE)
    part = chain.get(archive, Range="bytes=10-19")
    assert (part.status_code, part.content) == (206, chain.get(archive).content[10:20])


def test_a_portal_in_cache_mode_hands_on_what_it_has_not(tmp_path: Path) -> None:
    with chained(tmp_path, CACHE_MODE="True") as chain:
        chain.a.ok("kcare", "update")
        for name in ("b", "c"):
            b = chain.below(name, CACHE_MODE="True")
            b.ok("kcare", "update")
            assert b.states() == {ONE: "enabled", TWO: "enabled"}
            assert file_of(b, BIN) == (200, original(chain, BIN))
        assert [path.partition("/files/")[2] for path in chain.asked("/files/")] == [BIN]
        assert not chain.asked(".tar.")
        for name in ("d", "e"):
            b = chain.below(name)
            b.ok("kcare", "update")
            assert b.kc("kcare", "verify").code == 0
        assert len(chain.asked(".tar.")) == 2


def test_a_portal_in_cache_mode_below_one_that_has_all(chain: Chain) -> None:
    asked = len(chain.source.asked)
    b = chain.below("cache", CACHE_MODE="True")
    b.ok("kcare", "update")
    assert file_of(b, BIN) == (200, original(chain, BIN))
    assert len(chain.source.asked) == asked


def test_what_is_not_here_is_fetched_once_for_all_who_ask(tmp_path: Path) -> None:
    with chained(tmp_path, LIMIT_PATCHSETS="1") as chain:
        chain.a.ok("kcare", "update")
        assert chain.a.states() == {ONE: "not-downloaded", TWO: "enabled"}
        archive = chain.archive(ONE)
        expected = (chain.publisher.folder / archive).read_bytes()
        chain.source.pace = 0.01
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(chain.get, [archive] * 20))
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.content for answer in answers} == {expected}
        assert chain.asked(archive) == [f"/{archive}"]
        # The job that tidies up leaves it.
        portal = opened(chain.data, PUBLISH_SOURCE="mirror")
        assert evict_cache(portal)
        assert chain.get(archive).content == expected
        assert len(chain.asked(archive)) == 1
        db.close()
        b = chain.below()
        b.ok("kcare", "update")
        assert set(b.states()) == {ONE, TWO}
        # A patch file of a patchset whose manifest is not here either.
        shutil.rmtree(chain.data / "cache")
        path = f"targets/kernel/files/{BIN}"
        assert chain.get(path).content == original(chain, BIN)
        assert chain.asked("/files/") == [f"/{path}"]
        assert chain.get(f"targets/kernel/files/{WEB}/9/kpatch.bin").status_code == 404
        assert chain.get(f"targets/kernel/files/{WEB}/1/none").status_code == 404


def test_the_upstream_is_away(tmp_path: Path) -> None:
    with chained(tmp_path, LIMIT_PATCHSETS="1") as chain:
        chain.a.ok("kcare", "update")
        chain.source.status = 404
        for path in (chain.archive(ONE), f"targets/kernel/files/{BIN}"):
            answer = chain.get(path)
            assert (answer.status_code, answer.text.count("\n")) == (503, 1)
            assert int(answer.headers["retry-after"]) > 0
        assert chain.get(chain.archive(TWO)).status_code == 200
        assert chain.get("metadata/timestamp.json").status_code == 200
        unlisted = chain.archive(ONE).replace("kernel/", "kernel/0")
        assert chain.get(unlisted).status_code == 404


def unlisted(chain: Chain, count: int) -> set[int]:
    """What A answers when it is asked for levels that nobody lists."""
    paths = [f"targets/kernel/files/{number:040x}/1/kpatch.bin" for number in range(count)]
    return {chain.get(path).status_code for path in paths}


def test_a_manifest_that_cannot_be_had_is_asked_for_once_in_a_while(tmp_path: Path) -> None:
    with chained(tmp_path) as chain:
        chain.a.ok("libcare", "update")
        (lost,) = chain.publisher.folder.glob(f"targets/kernel/*.{ONE}.meta.json")
        manifest = f"/{lost.relative_to(chain.publisher.folder)}"
        del chain.source.files[manifest]
        assert unlisted(chain, 10) == {503}
        assert chain.asked(manifest) == [manifest]
        # And it hides no other patchset.
        listed = f"{WEB}/2/kpatch.bin"
        assert chain.get(f"targets/kernel/files/{listed}").content == original(chain, listed)


def test_what_manifests_list_is_known_when_they_were_evicted(tmp_path: Path) -> None:
    with chained(tmp_path) as chain:
        chain.a.ok("libcare", "update")
        assert unlisted(chain, 2) <= {404, 503}
        asked = len(chain.source.asked)
        shutil.rmtree(chain.data / "cache")
        assert unlisted(chain, 5) == {404}
        assert len(chain.source.asked) == asked
        assert chain.get(f"targets/kernel/files/{BIN}").content == original(chain, BIN)


def test_another_publisher_has_other_files_for_a_level(tmp_path: Path) -> None:
    with chained(tmp_path) as chain:
        chain.a.ok("kcare", "update")
        path = f"targets/kernel/files/{BIN}"
        assert chain.get(path).content == original(chain, BIN)
        other = Publisher.start(tmp_path / "other")
        other.offer("K20270101_01", {WEB: 1}, size=1000)
        chain.publisher.root.write_bytes(other.root.read_bytes())
        replace(chain, publisher=other).show()
        chain.a.ok("libcare", "update")
        large = f"targets/kernel/files/{WEB}/1/large"
        assert chain.get(large).content == (other.folder / large).read_bytes()


def test_rotated_keys_and_a_blocked_patchset_travel(moving: Chain) -> None:
    b = moving.below("rotated")
    b.ok("kcare", "update")
    assert b.states()[TWO] == "enabled"
    for role in ("kernel", "timestamp", "root", "targets"):
        moving.publisher.source.rotate(role)
    moving.publisher.say("blocked", TWO)
    moving.show()
    assert b.ok("kcare", "update") == ["There is nothing new of KernelCare for main"]
    moving.a.ok("kcare", "update")
    b.ok("kcare", "update")
    assert b.states()[ONE] == "enabled"
    assert b.states()[TWO] == "blocked"
    # It is not hidden: that it is blocked is signed, and so are its bytes.
    assert moving.get(moving.archive(TWO)).status_code == 200


def test_roots_before_the_one_that_is_pinned_are_handed_on(tmp_path: Path) -> None:
    with chained(tmp_path) as chain:
        empty = chain.get("metadata/timestamp.json")
        assert (empty.status_code, "retry-after" in empty.headers) == (503, True)
        for _ in range(2):
            chain.publisher.source.rotate("root")
        chain.show()
        pinned = chain.publisher.folder / "metadata" / "3.root.json"
        chain.a.settings["PATCH_SOURCE_ROOT"] = str(pinned)
        chain.a.ok("kcare", "update")
        (known,) = (chain.data / "source").glob("*/roots")
        assert sorted(path.name[0] for path in known.iterdir()) == ["1", "2", "3"]
        shutil.rmtree(known)
        # What the source says of older roots is believed only when each has signed the next.
        chain.source.files["/metadata/2.root.json"] = chain.publisher.root.read_bytes()
        said = chain.a.ok("kcare", "update")
        assert any("Older roots" in line for line in said)
        assert [path.name for path in known.iterdir()] == ["3.root.json"]


def test_a_root_that_was_made_up_on_the_way_does_not_stay(tmp_path: Path) -> None:
    with chained(tmp_path) as chain:
        for _ in range(2):
            chain.publisher.source.rotate("root")
        chain.show()
        pinned = chain.publisher.folder / "metadata" / "3.root.json"
        chain.a.settings["PATCH_SOURCE_ROOT"] = str(pinned)
        path, thief = "/metadata/2.root.json", stranger()
        good = chain.source.files[path]
        forged = Metadata[Root].from_bytes(good)
        forged.signed.add_key(thief.public_key, Root.type)
        forged.sign(thief)
        chain.source.files[path] = forged.to_bytes()
        chain.a.ok("kcare", "update")
        (known,) = (chain.data / "source").glob("*/roots")
        chain.source.files[path] = good
        chain.a.ok("kcare", "update")
        assert sorted(path.name[0] for path in known.iterdir()) == ["1", "2", "3"]
        assert (known / "2.root.json").read_bytes() == good


def spoiled(chain: Chain, server: Upstream, path: str) -> Below:
    """A portal below one that has changed a byte of ``path``."""
    for file in chain.publisher.folder.rglob("*.*"):
        if file.is_file():
            name = str(file.relative_to(chain.publisher.folder))
            server.files[f"/source/{name}"] = chain.get(name).content
    good = server.files[f"/source/{path}"]
    server.files[f"/source/{path}"] = good[:200] + bytes([good[200] ^ 1]) + good[201:]
    return chain.below(f"below-{path.rpartition('/')[2][:9]}", f"{server.url}/source")


def test_a_portal_above_that_tampers_is_refused(chain: Chain) -> None:
    with upstream() as server:
        b = spoiled(chain, server, chain.archive(TWO))
        done = b("kcare", "update")
        assert done.code == 1
        assert "nobody signed" in done.out
        assert b.states() == {ONE: "enabled", TWO: "not-downloaded"}
        for name in ("timestamp", "snapshot", "kernel"):
            (newest,) = {chain.publisher.source.file(name).name}
            b = spoiled(chain, server, f"metadata/{newest}")
            done = b("kcare", "update")
            assert done.code == 1
            assert "refused" in done.said
            assert b.states() == {}


def test_what_was_damaged_here_is_fetched_from_the_upstream_again(chain: Chain) -> None:
    archive, patch = chain.archive(ONE), f"targets/kernel/files/{BIN}"
    stored = (chain.data / "arch" / f"{ONE}.tar.bz2", chain.data / "resources" / BIN)
    good = [path.read_bytes() for path in stored]
    before = len(chain.source.asked)
    for path in stored:
        spoil(path)
    assert [chain.get(archive).content, chain.get(patch).content] == good
    assert chain.source.paths()[before:] == [f"/{archive}", f"/{patch}"]
    for path, data in zip(stored, good, strict=True):
        path.write_bytes(data)


def test_a_reader_of_what_was_newest_a_moment_ago_reads_on(moving: Chain) -> None:
    def named() -> list[str]:
        meta = json.loads(moving.get("metadata/timestamp.json").content)["signed"]["meta"]
        snapshot = f"metadata/{meta['snapshot.json']['version']}.snapshot.json"
        listed = json.loads(moving.get(snapshot).content)["signed"]["meta"]
        return [snapshot, *(f"metadata/{each['version']}.{name}" for name, each in listed.items())]

    first = {path: moving.get(path).content for path in named()}
    moving.publisher.offer("K20260301_01", {WEB: 3})
    moving.show()
    moving.a.ok("kcare", "update")
    second = named()
    assert second[0] not in first
    assert {path: moving.get(path).content for path in first} == first
    assert all(moving.get(path).status_code == 200 for path in second)


def test_readers_are_never_stuck_while_the_source_moves_on(moving: Chain) -> None:
    reader = Config.of(
        moving.data, PATCH_SOURCE_USER=CREDENTIALS[0], PATCH_SOURCE_PASSWORD=CREDENTIALS[1]
    )
    root = moving.publisher.root.read_bytes()
    done = Event()

    def read(number: int) -> set[int]:
        seen, count = set(), 0
        with closing(Web(f"{moving.above.url}/source", reader)) as place:
            while not done.is_set():
                folder = moving.folder / f"reader-{number}-{count}"
                seen.add(len(metadata.current(place, folder, root, ["kernel", "libcare"])))
                count += 1
        return seen

    with ThreadPoolExecutor(2) as pool:
        reading = [pool.submit(read, number) for number in range(2)]
        try:
            for number in range(4, 8):
                moving.publisher.offer(f"K2026040{number}_01", {WEB: number})
                moving.show()
                moving.a.ok("kcare", "update")
        finally:
            done.set()
        seen = [each.result(timeout=30) for each in reading]
    assert all(len(each) > 1 for each in seen), seen


def test_products_that_the_portal_above_lacks(tmp_path: Path) -> None:
    with chained(tmp_path) as chain:
        listed = f"/metadata/{chain.publisher.source.file('kernel').name}"
        good, chain.source.files[listed] = chain.source.files[listed], b"{}"
        update_libcare_alone(chain)
        # A spoiled list of another product keeps A from nothing, and is not handed on.
        assert chain.a.states(command="libcare") == {LIB: "enabled"}
        assert chain.get(listed[1:]).status_code == 404
        chain.source.files[listed] = good
        update_libcare_alone(chain)
        assert not chain.asked("K2026")
        b = chain.below()
        b.ok("kcare", "update")
        assert b.states() == {ONE: "enabled", TWO: "enabled"}
        assert len(chain.asked(".tar.")) == 3


def update_libcare_alone(chain: Chain) -> None:
    """As a portal does that has no other product."""
    portal = opened(chain.data, **chain.a.settings)
    libcare = portal.products["libcare"]
    with db.connection():
        updates.update(replace(portal, products={"libcare": libcare}), libcare)
    db.close()


def test_what_came_in_a_bundle_is_handed_on(chain: Chain) -> None:
    chain.a.ok("bundle", "create", chain.folder / "bundle")
    far = Below(
        InProcess(chain.folder / "far"),
        {
            "PATCH_SOURCE_ROOT": str(chain.publisher.root),
            "PUBLISH_SOURCE": "mirror",
        },
    )
    far("bundle", "apply", chain.folder / "bundle", "--feed", "main")
    with serving(chain.folder / "far", "--only", "agent", **far.settings) as above:
        b = chain.below("bundled", f"{above.url}/source")
        b.ok("kcare", "update")
        assert b.states() == {ONE: "enabled", TWO: "enabled"}
        assert b.kc("kcare", "verify").code == 0
        archive = chain.archive(ONE)
        (chain.folder / "far" / "arch" / f"{ONE}.tar.bz2").unlink()
        assert requests.get(f"{above.url}/source/{archive}", timeout=10).status_code == 503


def test_nothing_but_the_source_is_reached(chain: Chain) -> None:
    (chain.data / "source" / "trusted.root.json").write_bytes(b"private")
    (chain.data / "arch" / "private.tar.bz2").write_bytes(b"private")
    secret = chain.data / "resources" / WEB / "1" / "secret"
    secret.write_bytes(b"private")
    (known,) = (chain.data / "source").glob("*/metadata")
    for path in (
        "",
        "metadata",
        "metadata/",
        "metadata//timestamp.json",
        "metadata/root.json",
        "metadata/snapshot.json",
        "metadata/trusted.root.json",
        "metadata/9.root.json",
        "metadata/..%2f..%2finstance-id",
        f"metadata/..%2f..%2f{known.parent.name}%2fmetadata%2fsnapshot.json",
        "metadata/%2e%2e/instance-id",
        "metadata/timestamp.json%00",
        "metadata/root_history/1.root.json",
        "targets",
        "targets/kernel",
        "targets/kernel/private.tar.bz2",
        f"targets/kernel/{'0' * 64}.private.tar.bz2",
        f"targets/kernel/files/{WEB}/1/secret",
        f"targets/kernel/files/{WEB}/1/..%2f..%2f..%2finstance-id",
        f"targets/kernel/files/{WEB}/01/kpatch.bin",
        f"targets/kernel/files/{WEB}/%D9%A1/kpatch.bin",
        f"targets/none/files/{WEB}/1/kpatch.bin",
        f"targets/kernel/files/{'a' * 5000}/1/kpatch.bin",
        "config/config.json",
        "source/trusted.root.json",
        "eportal.sqlite",
        "arch/private.tar.bz2",
    ):
        answer = chain.get(path)
        assert (answer.status_code, b"private" in answer.content) == (404, False), path
    bare = requests.get(f"{chain.above.url}/source", timeout=10, allow_redirects=False)
    assert bare.status_code == 401
    url = f"{chain.above.url}/source/metadata/timestamp.json"
    assert requests.post(url, timeout=10).status_code == 405
    assert not chain.asked("secret")
    secret.unlink()


@pytest.mark.parametrize("published", ["mirror", "/nowhere"])
def test_the_bare_path_is_no_redirect(data_dir: Path, published: str) -> None:
    portal = opened(data_dir, PUBLISH_SOURCE=published)
    with TestClient(agent_app(portal), follow_redirects=False) as client:
        assert [client.get(path).status_code for path in ("/source", "/source/")] == [404, 404]


@pytest.mark.parametrize("value", ["srv/patches", "Mirror", "./mirror", "http://a/source"])
def test_a_setting_that_names_no_source_is_refused(data_dir: Path, value: str) -> None:
    with pytest.raises(InvalidValue, match="PUBLISH_SOURCE must be an absolute path"):
        agent_app(opened(data_dir, PUBLISH_SOURCE=value))


def test_a_portal_with_such_a_setting_does_not_start(cli: CommandLine) -> None:
    (port,) = free_ports(1)
    settings = {"EPORTAL_PUBLISH_SOURCE": "patches", "EPORTAL_PORT": str(port)}
    done = cli("serve", "--only", "agent", **settings)
    assert done.returncode == 2
    assert done.stderr.count("PUBLISH_SOURCE must be") == 1
    assert "Traceback" not in done.stderr
