"""Patchsets for the real kernel, and guests that must come to run them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.commands import CommandLine
from tests.support.polling import eventually
from tests.support.serving import Served

from .guest import boot
from .kernel import Kernel
from .livepatch import write_level

#: With it, guests register.
KEY = "realkernel"


def packed(cli: CommandLine, kernel: Kernel, folder: Path, name: str, level: int) -> Path:
    """Build and pack a patchset that brings this kernel to ``level``; its archive."""
    write_level(kernel, folder / name, level, text(level))
    archive = folder / f"{name}.tar.bz2"
    cli.ok("kcare", "pack", folder / name, "-o", archive)
    return archive


def text(level: int) -> str:
    """What /proc/cmdline says on a guest that runs this level."""
    return f"patched by ePortal, level {level}"


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

    eventually(lambda: shown()["patch_level"] == level)
    server = shown()
    assert server["hostname"] == hostname
    assert server["kernel_id"] == kernel.id
    assert server["euname"] == said["euname"]
    assert server["patchset"] == patchset
