"""A small invented fleet: kernels, patches for them, and machines that run them."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Kernel:
    """A kernel that patches exist for; ``id`` is the SHA-1 of its /proc/version."""

    release: str
    distro: str
    version: str

    @property
    def id(self) -> str:
        text = f"Linux version {self.release} #1 SMP\n"
        return hashlib.sha1(text.encode()).hexdigest()


@dataclass(frozen=True)
class Machine:
    """A server; ``behind`` says how many levels it lags."""

    hostname: str
    key: str
    kernel: Kernel
    uptime: int
    tags: str
    behind: int = 0


KERNELS = (
    Kernel("5.14.0-503.11.1.el9_5.x86_64", "AlmaLinux", "9.5"),
    Kernel("6.1.0-30-amd64", "Debian GNU/Linux", "12"),
    Kernel("5.15.0-130-generic", "Ubuntu", "22.04"),
    Kernel("4.18.0-553.el8_10.x86_64", "AlmaLinux", "8.10"),
)

#: Patchset -> level for each kernel; patches are cumulative, so a newer level replaces an older.
PATCHSETS = {
    "K20260310_01": {KERNELS[0]: 1, KERNELS[1]: 1},
    "K20260421_01": {KERNELS[2]: 1, KERNELS[3]: 1},
    "K20260602_01": {KERNELS[0]: 2, KERNELS[1]: 2, KERNELS[2]: 2},
    "K20260714_02": {KERNELS[0]: 3, KERNELS[3]: 2},
    "K20260820_01": {KERNELS[1]: 3, KERNELS[2]: 3},
    "K20260915_01": {KERNELS[0]: 4, KERNELS[1]: 4, KERNELS[2]: 4, KERNELS[3]: 3},
}

#: A patchset of libraries: build-id -> file name, and the level of the patch.
LIBRARIES = "U20260820_01"
LIBRARY_LEVEL = 2026082001
BUILD_IDS = {
    hashlib.sha1(name.encode()).hexdigest(): name for name in ("libssl.so.3", "libcrypto.so.3")
}

_KEYS = ("web", "web", "db", "lab")
FLEET = tuple(
    Machine(
        hostname=f"{_KEYS[number % 4]}{number:02d}.example.com",
        key=_KEYS[number % 4],
        kernel=KERNELS[number % 3 if number % 5 else 3],
        uptime=86_400 * (number * 37 % 700),
        tags="env:prod" if number % 4 < 3 else "env:lab;canary",
        behind=1 if number % 7 == 0 else 0,
    )
    for number in range(1, 25)
)

_INFO = """\
OS: {distro}
kernel: {release}
time: {date}
uname: {release}.{level}

kpatch-name: {release}/CVE-{year}-{number}.patch
kpatch-description: an example, nothing is fixed
kpatch-kernel: {release}
kpatch-cve: CVE-{year}-{number}
"""


def write_patches(folder: Path) -> list[str]:
    """A directory for each patchset below ``folder``; returns their names, oldest first."""
    for name, levels in PATCHSETS.items():
        date = f"{name[1:5]}-{name[5:7]}-{name[7:9]}"
        for kernel, level in levels.items():
            place = folder / name / kernel.id / str(level)
            place.mkdir(parents=True)
            (place / "kpatch.bin").write_bytes(f"{name} {kernel.release}\n".encode() * 200)
            (place / "kpatch.info").write_text(
                _INFO.format(
                    distro=kernel.distro,
                    release=kernel.release,
                    date=date,
                    level=level,
                    year=date[:4],
                    number=10_000 + level,
                )
            )
    return list(PATCHSETS)


def write_libraries(folder: Path) -> None:
    """A directory for the patchset of libraries."""
    for build_id, name in BUILD_IDS.items():
        place = folder / build_id / str(LIBRARY_LEVEL)
        place.mkdir(parents=True)
        (place / "kpatch.bin").write_bytes(f"a patch for {name}\n".encode() * 200)
    targets = {
        build_id: {"name": name, "distro": "debian12"} for build_id, name in BUILD_IDS.items()
    }
    (folder / "patchset.json").write_text(json.dumps({"targets": targets}))


def facts_query(machine: Machine, level: int) -> dict[str, str]:
    """What the machine's agent says when it checks in."""
    kernel = machine.kernel
    facts = {
        "hostname": machine.hostname,
        "patch_level": level,
        "patch_type": "default",
        "release": kernel.release,
        "euname": f"{kernel.release}.{level}",
        "version": "#1 SMP",
        "machine": "x86_64",
        "processor": "x86_64",
        "virt": "kvm",
        "kcare_version": "example",
        "distro": kernel.distro,
        "distro_version": kernel.version,
        "uptime": machine.uptime,
        "tags": machine.tags,
    }
    return {"info": base64.urlsafe_b64encode(json.dumps(facts).encode()).decode()}
