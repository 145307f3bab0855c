"""Cache mode: only manifests are fetched, and a patch file when an agent first asks for it."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest
import requests
from httpx2 import Response
from starlette.testclient import TestClient

from eportal_core import db, queries
from eportal_core.agent.app import agent_app
from eportal_core.caching.evicting import evict_cache
from eportal_core.models import MAIN, Patchset
from eportal_core.operations import feeds, keys, patchsets, updates
from eportal_core.patchsets.bundle import write_bundle
from eportal_core.patchsets.pack import pack
from eportal_core.portal import Portal
from eportal_core.types import Product
from eportal_libcare import plugin as libcare
from tests.support.agents import basic, check_in, register
from tests.support.inprocess import InProcess
from tests.support.opening import opened
from tests.support.patches import DB, KERNEL, SPEC, WEB, patch_dir
from tests.support.polling import eventually
from tests.support.publishing import Publisher
from tests.support.serving import Served, serving
from tests.support.sources import spoil
from tests.support.upstreams import Upstream, nginx, upstream

ONE, TWO = "K20260101_01", "K20260201_01"
BIN = f"/{WEB}/1/kpatch.bin"
LIBCARE = libcare.spec.product
ARCHIVE, LIB = "U20260101_01", "c" * 40


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher.start(tmp_path / "publisher")


@pytest.fixture
def source(publisher: Publisher) -> Iterator[Upstream]:
    """Serves what ``publisher`` publishes, once it is shown."""
    with upstream() as served:
        yield served


def offer(publisher: Publisher, name: str, levels: Mapping[str, int], size: int = 1000) -> None:
    """Pack a patchset, keep what was packed, and publish it."""
    publisher.list(packed(publisher.archives, name, levels, size))


def packed(folder: Path, name: str, levels: Mapping[str, int], size: int = 1000) -> Path:
    """An archive in ``folder``; a name with a U is of LibCare."""
    path = folder / f"{name}.tar.bz2"
    spec = libcare.spec if name.startswith("U") else SPEC
    pack(patch_dir(folder / f"{name}-content", levels, size), path, spec)
    return path


def show(source: Upstream, publisher: Publisher) -> None:
    """What is published now is what ``source`` has."""
    source.files.clear()
    for path in publisher.folder.rglob("*"):
        if path.is_file():
            source.files[f"/{path.relative_to(publisher.folder)}"] = path.read_bytes()


def files_asked(source: Upstream) -> list[str]:
    """Patch files that ``source`` was asked for, below the folder of all of them."""
    return [path.partition("/files")[2] for path in source.paths() if "/files/" in path]


def content(folder: Path, name: str, path: str) -> bytes:
    """What was packed as ``<target>/<level>/<file>``."""
    return (folder / f"{name}-content" / path.strip("/")).read_bytes()


def settings(url: str, publisher: Publisher, **more: object) -> dict[str, object]:
    return {
        "PATCH_SOURCE_URL": url,
        "PATCH_SOURCE_ROOT": str(publisher.root),
        "CACHE_MODE": True,
        **more,
    }


@dataclass(frozen=True)
class World:
    """A portal in this process, and its agents; ``server`` is registered by a key of main."""

    portal: Portal
    agent: TestClient
    server: str
    key: str

    def update(self, product: Product, feed: str = MAIN) -> None:
        updates.update(self.portal, product, feed)
        self.look()

    def look(self) -> None:
        """After a registration the agent side has read all changes, and not a moment later."""
        register(self.agent, self.key)

    def get(self, path: str = BIN, server: str | None = None, **headers: str) -> Response:
        return self.agent.get(path, headers={**basic(server or self.server), **headers})

    @property
    def cached(self) -> list[str]:
        folder = self.portal.config.data_dir / "cache" / "files"
        return sorted(path.name for path in folder.glob("*/*/*"))

    @property
    def partial(self) -> list[Path]:
        return list((self.portal.config.data_dir / "cache" / "partial").glob("*"))

    def row(self, name: str) -> Patchset:
        return patchsets.get(KERNEL, name)


@contextmanager
def world(data_dir: Path, **given: object) -> Iterator[World]:
    portal = opened(data_dir, CHECKIN_FLUSH_PERIOD=0.02, **given)
    with db.connection(), TestClient(agent_app(portal), raise_server_exceptions=False) as agent:
        key = keys.add(portal, feed=MAIN, products=[KERNEL.name, LIBCARE.name]).key
        yield World(portal, agent, register(agent, key), key)
    db.close()


@pytest.fixture
def one(data_dir: Path, publisher: Publisher, source: Upstream) -> Iterator[World]:
    """Cache mode, and one patchset enabled in main."""
    offer(publisher, ONE, {WEB: 1})
    show(source, publisher)
    with world(data_dir, **settings(source.url, publisher)) as running:
        running.update(KERNEL)
        yield running


def test_an_update_brings_manifests_alone(
    one: World, source: Upstream, publisher: Publisher
) -> None:
    assert not [path for path in source.paths() if ".tar." in path or "/files/" in path]
    storage = one.portal.storage
    assert [path.name for path in storage.archives.iterdir()] == [f"{ONE}.meta.json"]
    assert not (storage.patches_dir / "resources").exists()
    (row,) = queries.patchsets(one.portal, KERNEL)
    assert (row["patchset"], row["status"]) == (ONE, "enabled")
    assert check_in(one.agent, one.server).text == "1"
    asked = len(source.asked)
    one.update(KERNEL)
    assert len(source.asked) - asked <= 4


def test_a_file_comes_when_it_is_asked_for_and_stays(
    one: World, source: Upstream, publisher: Publisher
) -> None:
    expected = content(publisher.archives, ONE, BIN)
    first = one.get()
    assert (first.status_code, first.content) == (200, expected)
    again = one.get()
    assert (again.content, again.headers["etag"]) == (expected, first.headers["etag"])
    ranged = one.get(range="bytes=5-9")
    assert (ranged.status_code, ranged.content) == (206, expected[5:10])
    assert one.get(**{"if-none-match": first.headers["etag"]}).status_code == 304
    assert one.agent.head(BIN, headers=basic(one.server)).headers["content-length"] == "1000"
    assert files_asked(source) == [BIN]
    assert one.cached == ["kpatch.bin"]
    assert one.partial == []


def test_whoever_may_not_have_it_makes_nobody_ask(one: World, source: Upstream) -> None:
    feeds.add(one.portal, "test")
    other = register(one.agent, keys.add(one.portal, feed="test", products=[KERNEL.name]).key)
    without = register(one.agent, keys.add(one.portal, feed=MAIN, products=[LIBCARE.name]).key)
    assert one.agent.get(BIN).status_code == 401
    assert one.get(server="unknown").status_code == 401
    assert one.get(server=without).status_code == 403
    assert one.get(server=other).status_code == 404
    for path in (
        f"/test{BIN}",
        f"/{DB}/1/kpatch.bin",
        f"/{WEB}/2/kpatch.bin",
        f"/{WEB}/1/kcare.ko",
        f"/{WEB}/1/..%2f1%2fkpatch.bin",
        f"/{WEB}/1/kpatch.bin%00",
        f"/{WEB}/1/%2e%2e",
        f"/{WEB}/1/" + "a" * 5000,
    ):
        assert one.get(path).status_code == 404, path
    assert files_asked(source) == []
    # Scanners need no id for what tells of a patch.
    assert one.agent.get(f"/{WEB}/1/kpatch.info").status_code == 200
    assert files_asked(source) == [f"/{WEB}/1/kpatch.info"]


def test_two_feeds(one: World, source: Upstream, publisher: Publisher) -> None:
    offer(publisher, TWO, {WEB: 2})
    show(source, publisher)
    feeds.add(one.portal, "test")
    tester = register(one.agent, keys.add(one.portal, feed="test", products=[KERNEL.name]).key)
    one.update(KERNEL, "test")
    newer = f"/{WEB}/2/kpatch.bin"
    assert check_in(one.agent, one.server).text == "1"
    assert check_in(one.agent, tester).text == "2"
    assert one.get(newer, tester).content == content(publisher.archives, TWO, newer)
    # It is here, and still not for everybody.
    assert one.get(newer).status_code == 404
    assert one.get(f"/test{newer}").status_code == 200


def test_a_file_that_was_tampered_with(one: World, source: Upstream, publisher: Publisher) -> None:
    (path,) = (path for path in source.files if path.endswith(BIN))
    good = source.files[path]
    for bad in (b"x" + good[1:], good + b"x", good[:-1], b""):
        source.files[path] = bad
        with TestClient(agent_app(one.portal)) as agent:
            for _ in range(3):
                answer = agent.get(BIN, headers=basic(one.server))
                assert answer.status_code == 503
                assert int(answer.headers["retry-after"]) > 0
        assert (one.cached, one.partial) == ([], [])
    # What is refused is not asked for again and again.
    assert len(files_asked(source)) == 4
    source.files[path] = good
    with TestClient(agent_app(one.portal)) as agent:
        assert agent.get(BIN, headers=basic(one.server)).content == good


def test_the_source_is_away(one: World, source: Upstream) -> None:
    info = f"/{WEB}/1/kpatch.info"
    assert one.get().status_code == 200
    source.status = 500
    answer = one.get(info)
    assert (answer.status_code, answer.text.count("\n")) == (503, 1)
    assert int(answer.headers["retry-after"]) > 0
    source.status = 404
    with TestClient(agent_app(one.portal)) as agent:
        assert agent.get(info, headers=basic(one.server)).status_code == 503
    assert one.get().status_code == 200


def test_a_source_that_does_not_answer_is_left_alone(
    data_dir: Path, publisher: Publisher, source: Upstream
) -> None:
    offer(publisher, ONE, {WEB: 1, DB: 1})
    show(source, publisher)
    with world(data_dir, **settings(source.url, publisher)) as here:
        here.update(KERNEL)
        source.cut = 0
        assert here.get().status_code == 503
        asked = len(source.asked)
        for _ in range(5):
            assert here.get(f"/{DB}/1/kpatch.bin").status_code == 503
            assert here.get(f"/{DB}/1/kpatch.info").status_code == 503
        assert len(source.asked) == asked
        source.cut = None


def test_withdrawn_and_blocked(one: World, source: Upstream, publisher: Publisher) -> None:
    expected = content(publisher.archives, ONE, BIN)
    assert one.get().content == expected
    offer(publisher, TWO, {DB: 1})
    publisher.remove(ONE)
    show(source, publisher)
    one.update(KERNEL)
    # It stays enabled; what is here is served, and what is not is not called unsupported.
    assert one.get().content == expected
    assert one.get(f"/{WEB}/1/kpatch.info").status_code in (200, 503)
    publisher.list(publisher.archives / f"{ONE}.tar.bz2")
    publisher.say("blocked", ONE)
    show(source, publisher)
    one.update(KERNEL)
    assert one.get().status_code == 404


def test_a_manifest_that_was_changed_here(one: World, source: Upstream) -> None:
    store = one.portal.stores()[KERNEL.name]
    meta = store.meta(ONE)
    good = meta.read_text()
    meta.write_text(good.replace('"size": 1000', '"size": 1001'))
    assert one.get().status_code == 503
    assert files_asked(source) == []
    assert any("was changed" in fault for fault in store.faults(one.row(ONE)))
    meta.write_text(good)
    assert list(store.faults(one.row(ONE))) == []
    assert one.get().status_code == 200


def test_what_nobody_asks_for_goes_and_comes_again(
    data_dir: Path, publisher: Publisher, source: Upstream
) -> None:
    size = 400_000
    targets = [f"{number:040x}" for number in range(4)]
    offer(publisher, ONE, dict.fromkeys(targets, 1), size=size)
    show(source, publisher)
    with world(data_dir, **settings(source.url, publisher, CACHE_MAX_SIZE=1 << 20)) as here:
        here.update(KERNEL)
        paths = [f"/{target}/1/kpatch.bin" for target in targets]
        for path in paths[:3]:
            assert here.get(path).content == content(publisher.archives, ONE, path)
        # All were used just now: one too many is better than one that somebody is about to open.
        folders = {
            folder.name[:40]: folder for folder in (data_dir / "cache/files/kernel").iterdir()
        }
        assert len(folders) == 3
        now = time.time()
        for age, target in enumerate(targets[:3]):
            os.utime(folders[target], (now, now - 1000 * (3 - age)))
        # The oldest one is used again, so it is not the oldest any more.
        assert here.get(paths[0]).status_code == 200
        assert evict_cache(here.portal) == "0 MiB of patch files are cached"
        asked = len(files_asked(source))
        assert here.get(paths[0]).status_code == 200
        assert here.get(paths[2]).status_code == 200
        assert len(files_asked(source)) == asked
        assert here.get(paths[1]).content == content(publisher.archives, ONE, paths[1])
        assert files_asked(source)[asked:] == [paths[1]]
        long_ago = now - here.portal.config["CACHE_KEEP"] - 100
        for folder in (data_dir / "cache/files/kernel").iterdir():
            os.utime(folder, (long_ago, long_ago))
        evict_cache(here.portal)
        assert here.cached == []
        assert here.get(paths[0]).content == content(publisher.archives, ONE, paths[0])


def test_a_deleted_patchset_leaves_nothing(
    one: World, source: Upstream, publisher: Publisher, tmp_path: Path
) -> None:
    offer(publisher, TWO, {DB: 1})
    show(source, publisher)
    one.update(KERNEL)
    assert one.get().status_code == 200
    assert one.get(f"/{DB}/1/kpatch.bin").status_code == 200
    patchsets.unroll(one.portal, KERNEL, ONE, delete=True)
    one.look()
    assert [path.name for path in one.portal.storage.archives.iterdir()] == [f"{TWO}.meta.json"]
    assert one.get().status_code == 404
    # Another patchset brings the same level with other bytes: nobody gets the old ones.
    path = packed(tmp_path, "K20260301_01", {WEB: 1}, size=3000)
    patchsets.deploy(one.portal, KERNEL, path)
    assert one.get().content == content(tmp_path, "K20260301_01", BIN)
    assert len(one.cached) == 2
    evict_cache(one.portal)
    assert one.cached == ["kpatch.bin"]
    assert one.get(f"/{DB}/1/kpatch.bin").status_code == 200


def test_a_bundle_is_byte_for_byte_that_of_a_deployed_archive(
    data_dir: Path, publisher: Publisher, source: Upstream, tmp_path: Path
) -> None:
    offer(publisher, ARCHIVE, {LIB: 3}, size=50_000)
    show(source, publisher)
    path = f"/userspace/any/{LIB}/kpatch.tgz"
    with world(data_dir, **settings(source.url, publisher)) as here:
        here.update(LIBCARE)
        came = here.get(path)
        assert came.status_code == 200
        assert here.get(path).content == came.content
        assert sorted(files_asked(source)) == [f"/{LIB}/3/kpatch.bin", f"/{LIB}/3/kpatch.info"]
        assert here.get(f"/libcare/{LIB}/3/kpatch.bin").status_code == 200
        assert len(files_asked(source)) == 2
        assert here.cached == ["kpatch.bin", "kpatch.info", "kpatch.tgz"]
        assert not list((data_dir / "cache/building/libcare").iterdir())
    made = tmp_path / "expected.tgz"
    write_bundle(made, LIB, publisher.archives / f"{ARCHIVE}-content" / LIB / "3")
    assert came.content == made.read_bytes()
    # The same of the archive, when the portal has it whole.
    shutil.rmtree(data_dir)
    with world(data_dir, **settings(source.url, publisher, CACHE_MODE=False)) as here:
        here.update(LIBCARE)
        assert here.get(path).content == came.content


def test_an_installation_is_brought_over_and_back(
    data_dir: Path, publisher: Publisher, source: Upstream
) -> None:
    offer(publisher, ONE, {WEB: 1})
    offer(publisher, ARCHIVE, {LIB: 3})
    show(source, publisher)
    on = settings(source.url, publisher)
    off = {**on, "CACHE_MODE": False}
    with world(data_dir, **off) as here:
        here.update(KERNEL)
        assert here.get().status_code == 200
    offer(publisher, TWO, {DB: 2})
    show(source, publisher)
    kc = InProcess(data_dir)
    variables = {f"EPORTAL_{name}": str(value) for name, value in on.items()}
    assert "CACHE_MODE is off" in kc("cache-mode", "--fetch-meta").said
    # A manifest that was lost is fetched again, too.
    (data_dir / "arch" / f"{ONE}.meta.json").unlink()
    assert "3 patchsets were described" in kc.ok("cache-mode", "--fetch-meta", **variables)
    assert "0 patchsets were described" in kc.ok("cache-mode", "--fetch-meta", **variables)
    assert "0 faults" in kc.ok("kcare", "verify", **variables)
    newer, bundle = f"/{DB}/2/kpatch.bin", f"/userspace/any/{LIB}/kpatch.tgz"
    with world(data_dir, **on) as here:
        here.update(KERNEL)
        here.update(LIBCARE)
        assert here.get().content == content(publisher.archives, ONE, BIN)
        assert files_asked(source) == []
        assert here.get(newer).content == content(publisher.archives, TWO, newer)
        packed = here.get(bundle).content
        assert (here.row(ONE).archive, here.row(TWO).archive) == (f"{ONE}.tar.bz2", "")
    with world(data_dir, **off) as here:
        # Cached ones are served; the others are said to come, not to be unsupported.
        assert here.get(newer).content == content(publisher.archives, TWO, newer)
        answer = here.get(f"/{DB}/2/kpatch.info")
        assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (503, True)
        assert here.get(f"/{DB}/2/kcare.ko").status_code == 404
    done = kc("kcare", "verify")
    assert (done.code, "download-missing" in done.err) == (1, True)
    variables["EPORTAL_CACHE_MODE"] = "False"
    for command in ("kcare", "libcare"):
        kc.ok(command, "download-missing", **variables)
        assert "0 faults" in kc.ok(command, "verify", **variables)
    shutil.rmtree(data_dir / "cache")
    source.status = 500
    with world(data_dir, **off) as here:
        for path in (BIN, newer, f"/{DB}/2/kpatch.info"):
            assert here.get(path).status_code == 200, path
        assert here.get(bundle).content == packed
        assert here.row(TWO).archive == f"{TWO}.tar.bz2"


def test_manifests_are_taken_in_cache_mode_alone(
    data_dir: Path, publisher: Publisher, tmp_path: Path
) -> None:
    offer(publisher, ONE, {WEB: 1})
    (stored,) = (publisher.folder / "targets/kernel").glob("*.meta.json")
    meta = shutil.copy(stored, tmp_path / f"{ONE}.meta.json")
    kc = InProcess(data_dir)
    assert "deploy the archive" in kc.refused("kcare", "deploy", meta, code=1)
    done = kc("kcare", "deploy", meta, EPORTAL_CACHE_MODE="True")
    assert "is not listed by the patch source" in done.said
    done = kc("libcare", "deploy", meta, EPORTAL_CACHE_MODE="True")
    assert "is not a name of a LibCare patchset" in done.said
    variables = {f"EPORTAL_{name}": value for name, value in publisher.settings.items()}
    kc.ok("kcare", "update", EPORTAL_CACHE_MODE="True", **variables)
    for old, new in (
        ('"kpatch.bin"', '"../../kpatch"'),
        (WEB, "../x"),
        (WEB, DB),
        ('"size": 1000', '"size": 1001'),
        (ONE, TWO),
        ('"level": 1', '"level": 0'),
    ):
        Path(meta).write_text(stored.read_text().replace(old, new))
        assert kc("kcare", "deploy", meta, EPORTAL_CACHE_MODE="True").code == 1, new
    assert "0 faults" in kc.ok("kcare", "verify", EPORTAL_CACHE_MODE="True")


def test_fifty_agents_are_one_request_to_a_real_nginx(
    data_dir: Path, publisher: Publisher, tmp_path: Path
) -> None:
    offer(publisher, ONE, {WEB: 1}, size=3_000_000)
    log = tmp_path / "access.log"
    location = f"access_log {log}; location / {{ root {publisher.folder}; }}"
    with ExitStack() as stack:
        url = stack.enter_context(nginx(tmp_path / "nginx", location))
        given = settings(url, publisher)
        server = prepared(data_dir, given)
        served = stack.enter_context(agents_side(data_dir, given))
        clients = stack.enter_context(ThreadPoolExecutor(50))
        answers = list(clients.map(lambda _: ask(served, server).content, range(50)))
        assert set(answers) == {content(publisher.archives, ONE, BIN)}
        assert log.read_text().count("/files/") == 1
        # Who has begun to read it reads it to the end.
        with ask(served, server, stream=True) as answer:
            pieces = answer.iter_content(1000)
            first = next(pieces)
            shutil.rmtree(data_dir / "cache")
            assert first + b"".join(pieces) == answers[0]
        # And who comes then gets it from the source again.
        assert ask(served, server).content == answers[0]
        assert log.read_text().count("/files/") == 2
    assert "MiB of patch files" in InProcess(data_dir).ok("jobs", "run", "evict-cache")


def ask(
    served: Served, server: str, path: str = BIN, seconds: float = 60, stream: bool = False
) -> requests.Response:
    return requests.get(f"{served.url}{path}", auth=(server, "any"), timeout=seconds, stream=stream)


@contextmanager
def agents_side(data_dir: Path, given: Mapping[str, object]) -> Iterator[Served]:
    told = {name: str(value) for name, value in given.items()}
    with serving(data_dir, "--only", "agent", **told) as served:
        yield served


def prepared(data_dir: Path, given: Mapping[str, object]) -> str:
    """An updated portal; returns the id of a server."""
    with world(data_dir, **given) as here:
        here.update(KERNEL)
        return here.server


def test_a_killed_portal_goes_on_where_it_was(
    data_dir: Path, publisher: Publisher, source: Upstream
) -> None:
    offer(publisher, ONE, {WEB: 1}, size=4_000_000)
    show(source, publisher)
    given = settings(source.url, publisher)
    server = prepared(data_dir, given)
    source.pace = 0.02
    with (
        agents_side(data_dir, given) as served,
        ThreadPoolExecutor(1) as pool,
    ):
        answer = pool.submit(ask, served, server)
        (part,) = eventually(
            lambda: [
                file
                for file in (data_dir / "cache/partial").glob("*.part")
                if file.stat().st_size > 1 << 20
            ]
        )
        served.process.send_signal(signal.SIGKILL)
        assert isinstance(answer.exception(), requests.ConnectionError)
    kept = part.stat().st_size
    assert not list((data_dir / "cache").rglob("kpatch.bin"))
    source.pace = 0.0
    with (
        agents_side(data_dir, given) as one,
        agents_side(data_dir, given) as other,
        ThreadPoolExecutor(10) as clients,
    ):
        expected = content(publisher.archives, ONE, BIN)
        for answered in clients.map(lambda n: ask((one, other)[n % 2], server), range(10)):
            assert answered.content == expected
    first, second = (request for request in source.asked if "/files/" in request.path)
    assert "range" not in first.headers
    assert second.headers["range"] == f"bytes={kept}-"
    assert list((data_dir / "cache/partial").iterdir()) == []


def test_a_hanging_source_harms_nobody_else(
    data_dir: Path, publisher: Publisher, source: Upstream
) -> None:
    targets = [f"{number:040x}" for number in range(30)]
    offer(publisher, ONE, dict.fromkeys([*targets, WEB], 1))
    show(source, publisher)
    given = settings(source.url, publisher)
    server = prepared(data_dir, given)
    with agents_side(data_dir, given) as served, ThreadPoolExecutor(60) as clients:
        assert ask(served, server).status_code == 200
        source.open.clear()
        waiting = [
            clients.submit(ask, served, server, f"/{target}/1/{name}", 3)
            for target in targets
            for name in ("kpatch.bin", "kpatch.info")
        ]
        eventually(lambda: len(files_asked(source)) == 5)
        session, took = requests.Session(), []
        for _ in range(100):
            began = time.monotonic()
            answer = session.get(f"{served.url}/{WEB}/latest.v1", auth=(server, "x"), timeout=10)
            took.append(time.monotonic() - began)
            assert answer.text == "1"
        assert median(took) < 0.02
        assert ask(served, server).status_code == 200
        # Four are asked for, the others wait for those.
        assert len(files_asked(source)) == 5
        assert all(isinstance(each.exception(), requests.ReadTimeout) for each in waiting)
        began = time.monotonic()
        served.process.terminate()
        served.process.wait(timeout=30)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(("name", "file"), [(ONE, "kpatch.bin"), (ARCHIVE, "kpatch.tgz")])
def test_verify_finds_damaged_copies(
    data_dir: Path, publisher: Publisher, name: str, file: str
) -> None:
    product, path = (KERNEL, BIN) if name == ONE else (LIBCARE, f"/userspace/any/{LIB}/{file}")
    offer(publisher, name, {WEB if name == ONE else LIB: 1})
    with world(data_dir, **settings(str(publisher.folder), publisher)) as here:
        here.update(product)
        assert here.get(path).status_code == 200
    (copy,) = data_dir.glob(f"cache/files/*/*/{file}")
    kc, used = InProcess(data_dir), copy.parent.stat().st_mtime_ns
    assert "0 faults" in kc.ok(product.command, "verify", EPORTAL_CACHE_MODE="True")
    spoil(copy, 100)
    done = kc(product.command, "verify", EPORTAL_CACHE_MODE="True")
    assert (done.code, done.out) == (1, "1 patchset was verified, 1 fault was found\n")
    assert f"{copy} " in done.err
    assert "remove it, and it is fetched again" in done.err
    # To look at it is no use of it: what is used the least goes first.
    assert copy.parent.stat().st_mtime_ns == used
    copy.unlink()
    assert "0 faults" in kc.ok(product.command, "verify", EPORTAL_CACHE_MODE="True")
