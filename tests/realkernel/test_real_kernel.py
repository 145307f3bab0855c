"""A portal, two patchsets, and Debian's kernel patched while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.support.serving import Served

from .guest import boot
from .kernel import Kernel
from .livepatch import write_level

#: A change made by one process reaches another within this time, seconds.
SOON = 10
FIRST, SECOND = "K20260101_01", "K20260102_01"
KEY = "realkernel"


def test_guests_run_the_level_that_is_deployed(
    kernel: Kernel, served: Served, tmp_path: Path
) -> None:
    served.cli.ok("key", "-a", KEY)
    watcher = served.register(KEY, "watcher")
    deploy(served, kernel, tmp_path, FIRST, level=1)
    deploy(served, kernel, tmp_path, SECOND, level=2)
    eventually(lambda: latest(served, kernel, watcher) == b"2", "latest is 2")
    check_guest(served, kernel, "guest-one", level=2, patchset=SECOND)

    served.cli.ok("kcare", "unroll", SECOND)
    eventually(lambda: latest(served, kernel, watcher) == b"1", "latest is 1 again")
    check_guest(served, kernel, "guest-two", level=1, patchset=FIRST)


def deploy(served: Served, kernel: Kernel, directory: Path, name: str, level: int) -> None:
    """Build, pack and deploy a patchset that brings this kernel to ``level``."""
    write_level(kernel, directory / name, level, text(level))
    archive = directory / f"{name}.tar.bz2"
    served.cli.ok("kcare", "pack", directory / name, "-o", archive)
    served.cli.ok("kcare", "deploy", archive)


def text(level: int) -> str:
    """What /proc/cmdline says on a guest that runs this level."""
    return f"patched by ePortal, level {level}"


def latest(served: Served, kernel: Kernel, server_id: str) -> bytes:
    """The portal's answer, byte for byte: agents put it into the next URL as it is."""
    url = f"{served.url}/{kernel.id}/latest.v1"
    return requests.get(url, auth=(server_id, "any"), timeout=10).content


def check_guest(
    served: Served, kernel: Kernel, hostname: str, *, level: int, patchset: str
) -> None:
    """Boot a guest; it must come to run ``level``, and the portal must show it so."""
    port = urlsplit(served.url).port
    assert port is not None
    said = boot(kernel, port, KEY, hostname).said
    assert said["kernel_id"] == kernel.id
    assert said["cmdline_before"].startswith("console=ttyS0 ")
    assert said["cmdline_after"] == text(level)
    assert said["loaded"] == f"kpatch_level_{level}"
    assert (said["latest"], said["level"]) == (str(level), str(level))

    def shown() -> dict[str, Any]:
        (server,) = (one for one in served.cli.json("server") if one["id"] == said["server_id"])
        return dict(server)

    eventually(lambda: shown()["patch_level"] == level, f"{hostname} is shown at level {level}")
    server = shown()
    assert server["hostname"] == hostname
    assert server["kernel_id"] == kernel.id
    assert server["euname"] == said["euname"]
    assert server["patchset"] == patchset


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Wait until ``holds()``: another process does it in its own time and tells nobody."""
    deadline = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < deadline, f"after {SOON} seconds it is not so that {what}"
        time.sleep(0.1)
