"""``/repo`` of a real portal under many clients, hanging upstreams and ``kill -9``."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from statistics import median

import pytest
import requests

from eportal_core.caching.room import RESERVE
from eportal_kernelcare.packages.copies import Copies
from eportal_kernelcare.packages.room import FETCHES
from tests.support.disks import MIB, mountable, mounted
from tests.support.patches import WEB, archive
from tests.support.polling import eventually
from tests.support.serving import Served, serving
from tests.support.upstreams import Upstream, upstream


@pytest.fixture
def source() -> Iterator[Upstream]:
    with upstream() as served:
        yield served


def get(portal: Served, path: str, seconds: float = 60) -> requests.Response:
    return requests.get(f"{portal.url}/repo{path}", timeout=seconds)


def cached(data_dir: Path) -> Path:
    return data_dir / "cache/repo"


def test_fifty_clients_are_one_request(data_dir: Path, source: Upstream) -> None:
    source.files["/a.rpm"] = os.urandom(2 << 20)
    source.open.clear()
    with (
        serving(data_dir, "--only", "agent", AGENT_REPO_URL=source.url) as portal,
        ThreadPoolExecutor(50) as clients,
    ):
        answers = [clients.submit(get, portal, "/a.rpm") for _ in range(50)]
        eventually(lambda: source.asked)
        time.sleep(0.5)
        source.open.set()
        assert all(answer.result().content == source.files["/a.rpm"] for answer in answers)
    assert source.paths() == ["/a.rpm"]


def test_two_processes_fetch_a_file_once(data_dir: Path, source: Upstream) -> None:
    source.files["/a.rpm"] = os.urandom(4 << 20)
    source.pace = 0.005
    settings = {"AGENT_REPO_URL": source.url}
    with (
        serving(data_dir, "--only", "agent", **settings) as one,
        serving(data_dir, "--only", "agent", **settings) as other,
        ThreadPoolExecutor(10) as clients,
    ):
        for answer in clients.map(
            lambda number: get((one, other)[number % 2], "/a.rpm"), range(10)
        ):
            assert answer.content == source.files["/a.rpm"]
    assert source.paths() == ["/a.rpm"]
    assert list((cached(data_dir) / "partial").iterdir()) == []


def test_a_killed_download_is_gone_on_with(data_dir: Path, source: Upstream) -> None:
    source.files["/a.rpm"] = content = os.urandom(8 << 20)
    settings = {"AGENT_REPO_URL": source.url}
    source.pace = 0.02
    with serving(data_dir, "--only", "agent", **settings) as portal, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(get, portal, "/a.rpm")
        part = eventually(
            lambda: [
                file
                for file in (cached(data_dir) / "partial").glob("*.part")
                if file.stat().st_size > 1 << 20
            ]
        )
        portal.process.send_signal(signal.SIGKILL)
        assert isinstance(answer.exception(), requests.ConnectionError)
    kept = part[0].stat().st_size
    assert list((cached(data_dir) / "files").iterdir()) == []
    source.pace = 0
    with serving(data_dir, "--only", "agent", **settings) as portal:
        assert get(portal, "/a.rpm").content == content
    assert source.asked[-1].headers["range"] == f"bytes={kept}-"


def test_a_kill_before_any_step_leaves_a_whole_copy(data_dir: Path, source: Upstream) -> None:
    path = "/dists/stable/InRelease"
    command = [sys.executable, "-m", "tests.support.mortal_fetch", data_dir, source.url, path]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as portals:
        assert portals.stdin is not None
        assert portals.stdout is not None

        def ask(die_at: int = 0) -> tuple[int, list[object]]:
            portals.stdin.write(f"{die_at}\n")
            portals.stdin.flush()
            code, said = json.loads(portals.stdout.readline())
            return code, json.loads(said or "[]")

        kept = source.files[path] = b"step 0" * 1000
        ask()
        for step in range(1, 50):
            new = source.files[path] = f"step {step}".encode() * 1000
            code, _ = ask(die_at=step)
            # What is on the disk now: the one or the other, and all of it.
            copies = Copies(cached(data_dir), source.url)
            copy = copies.find(path.removeprefix("/"))
            assert copy is not None
            found = copies.body(copy).read_bytes()
            assert found in (kept, new)
            if code == 0:
                break
            assert ask() == (0, [200, new.decode()])
            kept = new
        assert code == 0
        assert step > 8
        assert found == new


def test_a_hanging_upstream_harms_neither_check_ins_nor_the_end(
    data_dir: Path, source: Upstream, tmp_path: Path
) -> None:
    source.files["/a.rpm"] = b"a"
    with serving(data_dir, AGENT_REPO_URL=source.url) as portal, ThreadPoolExecutor(60) as clients:
        portal.cli.ok("key", "-a", "web")
        portal.cli.ok("kcare", "deploy", archive(tmp_path, "K20260101_01", {WEB: 1}))
        server = portal.register("web")
        assert get(portal, "/a.rpm").content == b"a"
        source.open.clear()
        waiting = [clients.submit(get, portal, f"/{number}.rpm", 3) for number in range(60)]
        eventually(lambda: len(source.asked) == 5)
        session, took = requests.Session(), []
        for _ in range(100):
            began = time.monotonic()
            answer = session.get(f"{portal.url}/{WEB}/latest.v1", auth=(server, "x"), timeout=10)
            took.append(time.monotonic() - began)
            assert answer.text == "1"
        assert median(took) < 0.02
        assert get(portal, "/a.rpm").content == b"a"
        # Four were asked for, the others wait for those.
        assert len(source.asked) == 5
        # The clients give up; the portal ends at once, though four answers have not come.
        assert all(isinstance(each.exception(), requests.ReadTimeout) for each in waiting)
        began = time.monotonic()
        portal.process.terminate()
        portal.process.wait(timeout=30)
        assert time.monotonic() - began < 5


@pytest.mark.skipif(not mountable(), reason="a disk of a known size needs a mount")
def test_files_without_end_leave_the_database_its_room(tmp_path: Path) -> None:
    disk, listener = tmp_path / "disk", socket.create_server(("127.0.0.1", 0))

    def send(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            while True:
                connection.sendall(bytes(1 << 18))

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=send, args=[listener.accept()[0]], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    room = mounted(disk, RESERVE + 100 * MIB)
    with room, serving(disk / "var", AGENT_REPO_URL=url) as portal:
        with ThreadPoolExecutor(FETCHES) as threads:
            paths = [f"/{number}.deb" for number in range(FETCHES)]
            answers = list(threads.map(lambda path: get(portal, path).status_code, paths))
        assert answers == [503] * FETCHES
        assert shutil.disk_usage(disk).free > RESERVE
        assert "The disk refused" not in portal.log.read_text()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
