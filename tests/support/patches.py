"""Directories of kernel patches, and archives made of them by the real ``pack``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from eportal_core.patchsets.pack import pack
from eportal_kernelcare import plugin

SPEC = plugin.spec
KERNEL = SPEC.product


def kernel_id(name: str) -> str:
    """A kernel id as agents compute them; ``name`` stands for the content of /proc/version."""
    return hashlib.sha1(name.encode()).hexdigest()


WEB = kernel_id("web")
DB = kernel_id("db")

INFO = """\
OS: debian12
kernel: linux
time: 2026-01-01 00:00:00
uname: 6.1.0-{level}

kpatch-name: 6.1.0/CVE-2026-{level:05d}.patch
kpatch-cve: CVE-2026-{level:05d}
"""


def patch_dir(folder: Path, levels: Mapping[str, int], size: int = 1000) -> Path:
    """``<target>/<level>/kpatch.bin`` and ``kpatch.info`` below ``folder``."""
    for target, level in levels.items():
        place = folder / target / str(level)
        place.mkdir(parents=True)
        text = f"patch {level} for {target}\n"
        (place / "kpatch.bin").write_text((text * (size // len(text) + 1))[:size])
        (place / "kpatch.info").write_text(INFO.format(level=level))
    return folder


def archive(
    folder: Path, name: str, levels: Mapping[str, int], size: int = 1000, suffix: str = ".tar.bz2"
) -> Path:
    """An archive ``<name><suffix>`` in ``folder``."""
    path = folder / f"{name}{suffix}"
    pack(patch_dir(folder / f"{name}-content", levels, size), path, SPEC)
    return path
