"""A portal, two patchsets, and Debian's kernel patched while it runs."""

from __future__ import annotations

from pathlib import Path

from .guest import boot
from .kernel import Kernel
from .livepatch import write_level
from .portal import Portal, eventually

#: A change made by one process reaches another within this time, seconds.
SOON = 10
FIRST, SECOND = "K20260101_01", "K20260102_01"


def text(level: int) -> str:
    """What /proc/cmdline says on a guest that runs this level."""
    return f"patched by ePortal, level {level}"


def deploy(portal: Portal, kernel: Kernel, directory: Path, name: str, level: int) -> None:
    """Build, pack and deploy a patchset that brings this kernel to ``level``."""
    write_level(kernel, directory / name, level, text(level))
    archive = directory / f"{name}.tar.bz2"
    portal.run("kcare", "pack", directory / name, "-o", archive)
    portal.run("kcare", "deploy", archive)


def check_guest(portal: Portal, kernel: Kernel, key: str, hostname: str, level: int) -> str:
    """Boot a guest, see that it runs ``level`` and that the portal shows so; its server id."""
    guest = boot(kernel, portal.port, key, hostname)
    said = guest.said
    assert said["kernel_id"] == kernel.id
    assert said["cmdline_before"].startswith("console=ttyS0 ")
    assert said["cmdline_after"] == text(level)
    assert said["loaded"] == f"kpatch_level_{level}"
    assert (said["latest"], said["level"]) == (str(level), str(level))

    server_id = said["server_id"]
    eventually(
        lambda: portal.server(server_id).get("patch_level") == level,
        SOON,
        f"the portal shows {hostname} at level {level}",
    )
    server = portal.server(server_id)
    assert server["hostname"] == hostname
    assert server["kernel_id"] == kernel.id
    assert server["patchset"] == {1: FIRST, 2: SECOND}[level]
    return server_id


def test_guests_run_the_level_that_is_deployed(
    kernel: Kernel, portal: Portal, tmp_path: Path
) -> None:
    deploy(portal, kernel, tmp_path, FIRST, level=1)
    deploy(portal, kernel, tmp_path, SECOND, level=2)
    key = "realkernel"
    portal.run("key", "-a", key)
    with portal.serving():
        first = check_guest(portal, kernel, key, "guest-one", level=2)

        portal.run("kcare", "unroll", SECOND)
        eventually(
            lambda: portal.get(f"/{kernel.id}/latest.v1", first) == (200, b"1"),
            SOON,
            "latest is 1 again",
        )
        second = check_guest(portal, kernel, key, "guest-two", level=1)
        assert second != first
