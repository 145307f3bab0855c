"""``/repo``: what is passed through, what is kept, and what happens when the upstream is away."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from eportal_core.caching import room
from eportal_core.errors import InvalidValue
from eportal_kernelcare.packages.room import used
from tests.support.inprocess import InProcess
from tests.support.polling import eventually
from tests.support.repositories import passing
from tests.support.upstreams import Upstream, upstream

ROOT = "/deb/dists/stable"
DIGEST = hashlib.sha256(b"listing").hexdigest()


@pytest.fixture
def source() -> Iterator[Upstream]:
    with upstream() as served:
        yield served


@pytest.fixture
def client(data_dir: Path, source: Upstream) -> Iterator[TestClient]:
    with passing(data_dir, AGENT_REPO_URL=source.url) as client:
        yield client


@pytest.fixture
def asking(data_dir: Path, source: Upstream) -> Iterator[TestClient]:
    """As ``client``, but files that may change are asked for each time."""
    with passing(data_dir, AGENT_REPO_URL=source.url, AGENT_REPO_FRESH=0) as client:
        yield client


def body(client: TestClient, path: str) -> bytes:
    answer = client.get(f"/repo{path}")
    assert answer.status_code == 200, (answer.status_code, answer.text)
    return answer.content


def test_a_file_is_passed_through_and_kept(client: TestClient, source: Upstream) -> None:
    source.files["/rpm/a.rpm"] = os.urandom(3 << 20)
    for _ in range(2):
        assert body(client, "/rpm/a.rpm") == source.files["/rpm/a.rpm"]
    assert source.paths() == ["/rpm/a.rpm"]


def test_ranges_and_head_work_and_queries_stay_here(client: TestClient, source: Upstream) -> None:
    source.files["/a.deb"] = b"0123456789"
    assert client.head("/repo/a.deb").headers["content-length"] == "10"
    part = client.get("/repo/a.deb?token=1", headers={"Range": "bytes=3-5"})
    assert (part.status_code, part.content) == (206, b"345")
    tag = part.headers["etag"]
    assert client.get("/repo/a.deb", headers={"If-None-Match": tag}).status_code == 304
    assert source.paths() == ["/a.deb"]


@pytest.mark.parametrize(
    "path",
    [
        "/pool/kernelcare_1.0_all.deb",
        "/7/x86_64/kernelcare-1.0.rpm",
        f"/repodata/{DIGEST}-primary.xml.gz",
        f"{ROOT}/main/binary-amd64/by-hash/SHA256/{DIGEST}",
    ],
)
def test_what_cannot_change_is_asked_for_once(
    asking: TestClient, source: Upstream, path: str
) -> None:
    source.files[path] = b"listing"
    for _ in range(3):
        assert body(asking, path) == b"listing"
    assert source.paths() == [path]


def test_what_may_change_is_asked_for_again(asking: TestClient, source: Upstream) -> None:
    source.files["/key"] = b"one"
    assert [body(asking, "/key") for _ in range(2)] == [b"one", b"one"]
    assert [asked.headers.get("if-none-match") is None for asked in source.asked] == [True, False]
    source.files["/key"] = b"two"
    assert body(asking, "/key") == b"two"


def test_a_copy_that_may_change_is_good_for_a_while(client: TestClient, source: Upstream) -> None:
    source.files["/key"] = b"one"
    assert [body(client, "/key") for _ in range(3)] == [b"one"] * 3
    assert source.paths() == ["/key"]


@pytest.mark.parametrize(
    ("root", "sibling"),
    [
        (f"{ROOT}/InRelease", f"{ROOT}/main/binary-amd64/Packages"),
        ("/8/x86_64/repodata/repomd.xml", "/8/x86_64/repodata/repomd.xml.asc"),
        ("/flat/Release", "/flat/Packages.gz"),
    ],
)
def test_a_new_index_comes_with_what_it_describes(
    client: TestClient, source: Upstream, root: str, sibling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.files |= {root: b"root 1", sibling: b"sibling 1"}
    now = time.time()
    assert (body(client, root), body(client, sibling)) == (b"root 1", b"sibling 1")
    source.files |= {root: b"root 2", sibling: b"sibling 2"}
    # The root is asked for again only after some time, and with it what it describes.
    monkeypatch.setattr(time, "time", lambda: now + 601)
    assert body(client, root) == b"root 2"
    monkeypatch.setattr(time, "time", lambda: now + 602)
    assert body(client, sibling) == b"sibling 2"
    asked = len(source.asked)
    monkeypatch.setattr(time, "time", lambda: now + 603)
    assert (body(client, root), body(client, sibling)) == (b"root 2", b"sibling 2")
    assert body(client, sibling) == b"sibling 2"
    # The root was older than its sibling, once.
    assert source.paths()[asked:] == [root]


def test_a_clock_that_was_set_back_keeps_nothing_for_ever(
    client: TestClient, source: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    source.files[f"{ROOT}/InRelease"] = b"one"
    monkeypatch.setattr(time, "time", lambda: now + 1e6)
    assert body(client, f"{ROOT}/InRelease") == b"one"
    source.files[f"{ROOT}/InRelease"] = b"two"
    monkeypatch.setattr(time, "time", lambda: now)
    assert [body(client, f"{ROOT}/InRelease") for _ in range(2)] == [b"two", b"two"]
    assert len(source.asked) == 2


def test_without_validators_the_same_bytes_are_no_change(
    asking: TestClient, source: Upstream, data_dir: Path
) -> None:
    source.validators = False
    source.files["/key"] = b"one"
    tags = {asking.get("/repo/key").headers["etag"] for _ in range(3)}
    assert len(tags) == 1
    assert len(list((data_dir / "cache/repo/files").iterdir())) == 2


@pytest.mark.parametrize("status", [500, 502, 503, 403, 429])
def test_an_upstream_that_fails_is_replaced_by_what_is_here(
    asking: TestClient, source: Upstream, status: int
) -> None:
    source.files |= {"/key": b"one", "/other": b"x"}
    assert body(asking, "/key") == b"one"
    source.status = status
    assert body(asking, "/key") == b"one"
    answer = asking.get("/repo/other")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert "cannot be reached" in answer.text


def test_an_upstream_that_is_gone_is_not_asked_all_the_time(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with upstream() as source:
        port = source.port
        source.files["/key"] = b"one"
        settings = {"AGENT_REPO_URL": source.url, "AGENT_REPO_FRESH": 0.0}
        with passing(data_dir, **settings) as client:
            assert body(client, "/key") == b"one"
    with passing(data_dir, **settings) as client:
        for number in range(5):
            assert body(client, "/key") == b"one"
            assert client.get(f"/repo/{number}").status_code == 503
        lines = [line for line in caplog.messages if "is served without asking" in line]
        assert len(lines) == 1
        with upstream(port) as source:
            # For half a minute nobody looks.
            assert client.get("/repo/new").status_code == 503
            assert source.asked == []


def test_what_the_upstream_has_not_is_not_here_and_soon_forgotten(
    client: TestClient, source: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        assert client.get("/repo/nothing").status_code == 404
    assert source.paths() == ["/nothing"]
    source.files["/nothing"] = b"now"
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert body(client, "/nothing") == b"now"


def test_a_file_that_the_upstream_withdrew_is_gone(asking: TestClient, source: Upstream) -> None:
    source.files["/key"] = b"one"
    assert body(asking, "/key") == b"one"
    del source.files["/key"]
    assert asking.get("/repo/key").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/a/",
        "//a",
        "/a//b",
        "/../secret",
        "/%2e%2e/secret",
        "/a/%2e%2e/%2e%2e/secret",
        "/..%2fsecret",
        "/.htpasswd",
        "/a/.git/config",
        "/a%00b",
        "/a%5cb",
        "/a%0ab",
        "/a%20b",
        "/%c3%bc",
        f"/{'a' * 256}",
        "/a" * 1025,
        "/http://other.example.com/a/",
    ],
)
def test_hostile_paths_are_no_files_and_reach_nobody(
    client: TestClient, source: Upstream, path: str
) -> None:
    answer = client.get(f"/repo{path}", follow_redirects=False)
    assert answer.status_code in (404, 307)
    assert source.asked == []


def test_odd_names_arrive_as_they_are(client: TestClient, source: Upstream) -> None:
    source.files["/pool/g%2B%2B_1%3A4~rc1%25_all.deb"] = b"odd"
    assert body(client, "/pool/g++_1:4~rc1%25_all.deb") == b"odd"
    source.files["/flat/InRelease"] = b"flat"
    assert body(client, "/flat/%2e/InRelease") == b"flat"


def test_a_folder_and_a_file_of_one_name(client: TestClient, source: Upstream) -> None:
    source.files |= {"/a/b": b"inner", "/a": b"outer"}
    assert [body(client, path) for path in ("/a/b", "/a", "/a/b")] == [b"inner", b"outer", b"inner"]


def test_redirects_are_followed_without_the_password(data_dir: Path) -> None:
    with upstream() as source, upstream() as other:
        source.redirects = {"/a.rpm": f"{other.url}/b.rpm", "/c.rpm": "/d.rpm"}
        source.files["/d.rpm"] = b"same host"
        other.files["/b.rpm"] = b"other host"
        secrets = {"AGENT_REPO_USER": "portal", "AGENT_REPO_PASSWORD": "s3cret"}
        with passing(data_dir, AGENT_REPO_URL=source.url, **secrets) as client:
            assert body(client, "/a.rpm") == b"other host"
            assert body(client, "/c.rpm") == b"same host"
        assert all("authorization" in asked.headers for asked in source.asked)
        assert [asked.headers.get("authorization") for asked in other.asked] == [None]


def test_bytes_that_are_not_what_the_name_says_are_not_kept(
    client: TestClient, source: Upstream
) -> None:
    path = f"/repodata/{DIGEST}-primary.xml.gz"
    source.files[path] = b"another listing"
    assert client.get(f"/repo{path}").status_code == 503
    assert source.paths() == [path] * 2


def test_a_login_page_is_no_package(client: TestClient, source: Upstream) -> None:
    source.files["/a.deb"] = b"<html>"
    source.types["/a.deb"] = "text/html; charset=utf-8"
    assert client.get("/repo/a.deb").status_code == 503


def test_login_pages_take_no_room(client: TestClient, source: Upstream, data_dir: Path) -> None:
    for name in "abc":
        source.files[f"/{name}.deb"] = b"<html>" * 1000
        source.types[f"/{name}.deb"] = "text/html"
        assert client.get(f"/repo/{name}.deb").status_code == 503
    assert used(data_dir / "cache/repo") == 0


@pytest.mark.parametrize("path", [f"{ROOT}/InRelease", "/repodata/repomd.xml", "/key"])
def test_a_login_page_replaces_nothing(asking: TestClient, source: Upstream, path: str) -> None:
    source.files[path] = b"good"
    source.types[path] = "text/html"
    assert body(asking, path) == b"good"
    source.files[path] = b"\n<!DOCTYPE HTML>\n<html>Log in"
    assert body(asking, path) == b"good"


def test_a_download_that_stops_is_gone_on_with(client: TestClient, source: Upstream) -> None:
    source.files["/a.deb"] = os.urandom(1 << 20)
    source.cut = 3 << 17
    assert body(client, "/a.deb") == source.files["/a.deb"]
    assert [asked.headers.get("range") for asked in source.asked] == [
        None,
        *(f"bytes={number * source.cut}-" for number in (1, 2)),
    ]


def test_the_least_recently_used_go_first(
    data_dir: Path, source: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"/{name}.rpm": os.urandom(300_000) for name in "abcd"}
    source.files |= files
    limit = 1 << 20
    now = time.time()
    with passing(data_dir, AGENT_REPO_URL=source.url, AGENT_REPO_CACHE_SIZE=limit) as client:
        for minute, name in enumerate("abcad"):
            # Entries are as old as the file system says, and so are these.
            for entry in (data_dir / "cache/repo/files").glob("*.json"):
                os.utime(entry, (entry.stat().st_atime - 600, entry.stat().st_mtime - 600))
            monkeypatch.setattr(time, "time", lambda minute=minute: now + minute)
            assert body(client, f"/{name}.rpm") == files[f"/{name}.rpm"]
        size = sum(file.stat().st_size for file in (data_dir / "cache/repo/files").iterdir())
        assert size < limit
        before = len(source.asked)
        for name in "acd":
            body(client, f"/{name}.rpm")
        assert len(source.asked) == before
        body(client, "/b.rpm")
        assert source.paths()[before:] == ["/b.rpm"]


def test_downloads_that_stop_take_no_more_room_than_the_cache_has(
    data_dir: Path, source: Upstream
) -> None:
    limit = 2 << 20
    source.files |= {f"/{name}.deb": os.urandom(limit) for name in "abcde"}
    source.files["/small.deb"] = b"small"
    with passing(data_dir, AGENT_REPO_URL=source.url, AGENT_REPO_CACHE_SIZE=limit) as client:
        body(client, "/small.deb")
        # Each try keeps one piece of what came: five are not the file.
        source.cut = 3 << 17
        for name in "abcde":
            assert client.get(f"/repo/{name}.deb").status_code == 503
        assert 1 << 20 < used(data_dir / "cache/repo") <= limit
        asked = len(source.asked)
        assert body(client, "/small.deb") == b"small"
        assert len(source.asked) == asked


def test_a_file_that_is_larger_than_the_cache_is_refused(data_dir: Path, source: Upstream) -> None:
    source.files["/a.rpm"] = os.urandom(2 << 20)
    with passing(data_dir, AGENT_REPO_URL=source.url, AGENT_REPO_CACHE_SIZE=1 << 20) as client:
        assert client.get("/repo/a.rpm").status_code == 503


@pytest.mark.parametrize(
    ("path", "content"), [("/big.rpm", bytes(2 << 20)), (f"/repodata/{DIGEST}-other.xml", b"")]
)
def test_a_file_that_is_refused_is_in_the_way_of_no_other(
    data_dir: Path, source: Upstream, path: str, content: bytes
) -> None:
    source.files |= {path: content, "/small.rpm": b"small"}
    with passing(data_dir, AGENT_REPO_URL=source.url, AGENT_REPO_CACHE_SIZE=1 << 20) as client:
        assert client.get(f"/repo{path}").status_code == 503
        assert body(client, "/small.rpm") == b"small"


def test_a_full_disk_is_told_of_once_in_a_while(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(room, "RESERVE", 1 << 60)
    for number in range(20):
        assert client.get(f"/repo/{number}.rpm").status_code == 503
    assert sum("is nearly full" in line for line in caplog.messages) == 1


def test_a_damaged_cache_is_no_more_than_a_missing_one(
    client: TestClient, source: Upstream, data_dir: Path
) -> None:
    source.files |= {"/a.rpm": b"aaaa", "/b.rpm": b"bbbb", "/c.rpm": b"cccc"}
    for path in source.files:
        body(client, path)
    for number, file in enumerate(sorted((data_dir / "cache/repo/files").iterdir())):
        file.write_bytes(b"" if number % 2 else b"\xff{")
    for path, content in source.files.items():
        assert body(client, path) == content


def test_the_cache_may_be_removed_at_any_time(
    client: TestClient, source: Upstream, data_dir: Path
) -> None:
    source.files["/a.rpm"] = b"a"
    for _ in range(2):
        assert body(client, "/a.rpm") == b"a"
        shutil.rmtree(data_dir / "cache")
    assert len(source.asked) == 2


def test_without_an_upstream_there_is_nothing(data_dir: Path) -> None:
    with passing(data_dir) as client:
        answer = client.get("/repo/a.rpm")
        assert (answer.status_code, answer.text) == (
            404,
            "This portal has no agent packages: AGENT_REPO_URL is not set.\n",
        )


@pytest.mark.parametrize(
    "url",
    ["repo.example.com", "file:///etc", "http://", "http://a/?b", "http://u:p@a/", "http://["],
)
def test_an_upstream_that_is_no_address_stops_the_start(
    data_dir: Path, url: str, kc: InProcess
) -> None:
    with pytest.raises(InvalidValue, match="AGENT_REPO_URL"), passing(data_dir, AGENT_REPO_URL=url):
        pass
    done = kc("doctor", EPORTAL_AGENT_REPO_URL=url)
    assert done.code == 1
    assert "BAD agent packages: AGENT_REPO_URL" in done.out


def test_doctor_tells_how_full_the_cache_is(kc: InProcess, source: Upstream) -> None:
    assert "ok  agent packages: AGENT_REPO_URL is not set" in kc.ok("doctor")
    told = kc.ok("doctor", EPORTAL_AGENT_REPO_URL=source.url)
    assert f"passed through from {source.url}; 0 of 10240 MiB are cached" in told


def test_an_upstream_that_hangs_delays_only_what_is_not_here(
    asking: TestClient, source: Upstream
) -> None:
    source.files |= {"/key": b"one", "/a.rpm": b"a"}
    assert body(asking, "/key") == b"one"
    assert body(asking, "/a.rpm") == b"a"
    source.files["/key"] = b"two"
    source.open.clear()
    began = time.monotonic()
    assert body(asking, "/key") == b"one"
    assert 4 < time.monotonic() - began < 8
    # Once is enough: it is known to be slow now.
    began = time.monotonic()
    assert body(asking, "/key") == b"one"
    assert body(asking, "/a.rpm") == b"a"
    assert time.monotonic() - began < 1
    source.open.set()
    eventually(lambda: body(asking, "/key") == b"two")
