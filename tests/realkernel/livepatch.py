"""Levels of a live patch for a real kernel, in the layout that ``kcare pack`` takes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .kernel import Kernel

SOURCE = Path(__file__).with_name("livepatch.c")
BUILD_SECONDS = 120


class BuildError(RuntimeError):
    """The module could not be built; the message is what make said."""


def write_level(kernel: Kernel, directory: Path, level: int, text: str) -> Path:
    """Write ``<kernel-id>/<level>/kpatch.bin`` and ``kpatch.info`` below ``directory``.

    Args:
        text: what /proc/cmdline shall say; ASCII, one line.

    Returns:
        The folder of the level.

    Raises:
        BuildError: the compiler refused.
    """
    folder = directory / kernel.id / str(level)
    folder.mkdir(parents=True)
    _build(kernel, level, text, folder / "kpatch.bin")
    (folder / "kpatch.info").write_text(_info(kernel, level))
    return folder


def _build(kernel: Kernel, level: int, text: str, result: Path) -> None:
    # Two levels are two modules: the kernel takes only one of a name.
    module = f"kpatch_level_{level}"
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        shutil.copy(SOURCE, work)
        # For ASCII, a JSON string is a C string.
        (work / "patch.h").write_text(f"#define PATCH_TEXT {json.dumps(text)}\n")
        (work / "Kbuild").write_text(f"obj-m := {module}.o\n{module}-y := {SOURCE.stem}.o\n")
        # The Makefile in the headers names the system's /usr/src; -f goes around it.
        built = subprocess.run(
            ["make", "-C", kernel.headers, "-f", kernel.makefile, f"M={work}", "modules"],
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},  # no CC, ARCH or MAKEFLAGS of others
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_SECONDS,
        )
        if built.returncode != 0:
            raise BuildError(f"{module} was not built:\n{built.stdout}{built.stderr}")
        shutil.copy(work / f"{module}.ko", result)


def _info(kernel: Kernel, level: int) -> str:
    """The text of ``kpatch.info``: a header, then one block for each patch in this level."""
    header = (
        "OS: debian12\n"
        f"kernel: linux-image-{kernel.release}\n"
        "time: 2026-01-01 00:00:00\n"
        f"uname: {kernel.release}+level{level}\n"
    )
    patches = (
        f"kpatch-name: {kernel.release}/cmdline-{number}.patch\n"
        "kpatch-description: proc: show another command line\n"
        f"kpatch-kernel: {kernel.release}\n"
        "kpatch-cve: N/A\n"
        "kpatch-cvss: N/A\n"
        "kpatch-cve-url: N/A\n"
        "kpatch-patch-url: N/A\n"
        for number in range(1, level + 1)
    )
    return "\n".join((header, *patches))
