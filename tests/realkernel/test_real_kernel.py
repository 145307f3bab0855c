"""A portal, two patchsets, and Debian's kernel patched while it runs."""

from __future__ import annotations

from pathlib import Path

import requests

from tests.support.polling import eventually
from tests.support.serving import Served

from .kernel import Kernel
from .patched import KEY, check_guest, packed

FIRST, SECOND = "K20260101_01", "K20260102_01"


def test_guests_run_the_level_that_is_deployed(
    kernel: Kernel, served: Served, tmp_path: Path
) -> None:
    served.cli.ok("key", "-a", KEY)
    watcher = served.register(KEY, "watcher")
    for level, name in enumerate((FIRST, SECOND), 1):
        served.cli.ok("kcare", "deploy", packed(served.cli, kernel, tmp_path, name, level))
    eventually(lambda: latest(served, kernel, watcher) == b"2")
    check_guest(served, kernel, "guest-one", level=2, patchset=SECOND)

    served.cli.ok("kcare", "unroll", SECOND)
    eventually(lambda: latest(served, kernel, watcher) == b"1")
    check_guest(served, kernel, "guest-two", level=1, patchset=FIRST)


def latest(served: Served, kernel: Kernel, server_id: str) -> bytes:
    """The portal's answer, byte for byte: agents put it into the next URL as it is."""
    url = f"{served.url}/{kernel.id}/latest.v1"
    return requests.get(url, auth=(server_id, "any"), timeout=10).content
