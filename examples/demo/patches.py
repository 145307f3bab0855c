"""What the demo deploys: a year of invented patchsets, the newest of them of yesterday.

Nothing in them is a patch. The CVEs have numbers of seven digits, which nobody was ever given.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

DAYS = timedelta(days=1)
KERNEL_PATCHSETS = 25
#: Of each userspace product: days since the release, the oldest first.
USERSPACE = {"libcare": (290, 170, 80, 9), "qemu": (210, 40), "db": (130, 25)}
_EVERY = 15 * DAYS
#: Build of a kernel that a level makes it equal to: so many more for each level.
_BUILDS = 3


@dataclass(frozen=True)
class Kernel:
    """A kernel of a distribution; ``build`` fills the place in ``pattern``."""

    pattern: str
    build: int
    distro: str
    version: str
    machine: str = "x86_64"

    @property
    def release(self) -> str:
        return self.pattern.format(self.build)

    @property
    def id(self) -> str:
        """The SHA-1 of its /proc/version."""
        text = f"Linux version {self.release} #1 SMP\n"
        return hashlib.sha1(text.encode()).hexdigest()

    def effective(self, level: int) -> str:
        """The kernel whose fixes it has at a level."""
        return self.pattern.format(self.build + _BUILDS * level)


ALMA9 = Kernel("5.14.0-503.{}.1.el9_5.x86_64", 11, "AlmaLinux", "9.5")
DEBIAN12 = Kernel("6.1.0-{}-amd64", 30, "Debian GNU/Linux", "12")
UBUNTU22 = Kernel("5.15.0-{}-generic", 130, "Ubuntu", "22.04")
UBUNTU24 = Kernel("6.8.0-{}-generic", 51, "Ubuntu", "24.04")
ALMA8 = Kernel("4.18.0-553.{}.1.el8_10.x86_64", 16, "AlmaLinux", "8.10")
ROCKY9 = Kernel("5.14.0-427.{}.1.el9_4.x86_64", 13, "Rocky Linux", "9.4")
ORACLE8 = Kernel("5.15.0-209.{}.2.el8uek.x86_64", 161, "Oracle Linux Server", "8.10")
CENTOS7 = Kernel("3.10.0-1160.{}.1.el7.x86_64", 88, "CentOS Linux", "7.9")
AMAZON = Kernel("6.1.112-{}.222.amzn2023.aarch64", 122, "Amazon Linux", "2023", "aarch64")
DEBIAN12_ARM = Kernel("6.1.0-{}-arm64", 30, "Debian GNU/Linux", "12", "aarch64")
KERNELS = (
    *(ALMA9, DEBIAN12, UBUNTU22, UBUNTU24, ALMA8),
    *(ROCKY9, ORACLE8, CENTOS7, AMAZON, DEBIAN12_ARM),
)
#: One that somebody built, for which there are no patches.
CUSTOM = Kernel("6.12.{}-tickless", 9, "Debian GNU/Linux", "12")

_FIXES = (
    ("netfilter: nf_tables: use after free of a set element", 7.8),
    ("vsock: reference that is not held", 7.0),
    ("ext4: bytes beyond the end of an inode", 5.5),
    ("io_uring: race of a timeout and its cancellation", 8.4),
    ("KVM: state of a guest that leaves too early", 6.5),
    ("tls: length of a record that is not checked", 9.1),
)
_HEADER = "OS: {distro}\nkernel: {release}\ntime: {date}\nuname: {uname}\n"
_FIX = """
kpatch-name: {release}/{cve}.patch
kpatch-description: {text} (an example: nothing is fixed)
kpatch-kernel: {release}
kpatch-cve: {cve}
kpatch-cvss: {score}
"""
_LIBRARIES = {
    "libcare": ("libssl.so.3", "libcrypto.so.3", "libc.so.6"),
    "qemu": ("qemu-system-x86_64",),
    "db": ("mariadbd", "postgres"),
}
_NAMES = {"kcare": "K{}_01", "libcare": "U{}_01", "qemu": "U{}_01-qemu", "db": "D{}_01"}


@dataclass(frozen=True)
class Made:
    """A patchset of ``command``, such as kcare; levels: of each kernel that it is for."""

    command: str
    name: str
    released: datetime
    levels: dict[str, int]

    @property
    def changelog(self) -> str:
        if not self.levels:
            return "An example: nothing is fixed.\n"
        named = (k for k in KERNELS if k.id in self.levels)
        return "".join(
            f"{kernel.release}: level {self.levels[kernel.id]}, "
            f"as {kernel.effective(self.levels[kernel.id])}\n"
            for kernel in named
        )


def kernel_patchsets(today: datetime) -> list[Made]:
    """The oldest first; patches are cumulative, so a newer level replaces an older."""
    levels = dict.fromkeys((kernel.id for kernel in KERNELS), 0)
    made = []
    for number in range(KERNEL_PATCHSETS):
        released = today - DAYS - (KERNEL_PATCHSETS - 1 - number) * _EVERY
        recent = number >= KERNEL_PATCHSETS - 3
        # No release is for all kernels, but for the last ones, which the reader will try.
        chosen = [k.id for i, k in enumerate(KERNELS) if recent or (number + i) % 5 in (0, 2, 3)]
        for kernel_id in chosen:
            levels[kernel_id] += 1
        made.append(_made("kcare", released, {each: levels[each] for each in chosen}))
    return made


def userspace_patchsets(today: datetime) -> list[Made]:
    """Of all other products, those of a product the oldest first."""
    return [
        _made(command, today - ago * DAYS, {})
        for command, released in USERSPACE.items()
        for ago in released
    ]


def write(made: Made, folder: Path) -> None:
    """What ``kc.eportal <command> pack`` makes an archive of."""
    if made.levels:
        for kernel in KERNELS:
            if level := made.levels.get(kernel.id):
                _write_kernel(folder / kernel.id / str(level), kernel, level, made.released)
        return
    targets: dict[str, Any] = {}
    for name in _LIBRARIES[made.command]:
        build_id = hashlib.sha1(name.encode()).hexdigest()
        place = folder / build_id / made.released.strftime("%Y%m%d01")
        place.mkdir(parents=True)
        (place / "kpatch.bin").write_bytes(f"a patch for {name}\n".encode() * 200)
        targets[build_id] = {"name": name, "distro": "debian12"}
    (folder / "patchset.json").write_text(json.dumps({"targets": targets}))


def today() -> datetime:
    """This morning, UTC."""
    return datetime.now(UTC).replace(hour=6, minute=0, second=0, microsecond=0)


def _made(command: str, released: datetime, levels: dict[str, int]) -> Made:
    return Made(command, _NAMES[command].format(released.strftime("%Y%m%d")), released, levels)


def _write_kernel(place: Path, kernel: Kernel, level: int, released: datetime) -> None:
    place.mkdir(parents=True)
    (place / "kpatch.bin").write_bytes(f"{kernel.release} {level}\n".encode() * 200)
    parts = [
        _HEADER.format(
            distro=kernel.distro,
            release=kernel.release,
            date=f"{released:%Y-%m-%d %H:%M:%S}",
            uname=kernel.effective(level),
        )
    ]
    for number in range(2 * level):
        text, score = _FIXES[number % len(_FIXES)]
        cve = f"CVE-2026-{1_000_000 + number}"
        parts.append(_FIX.format(release=kernel.release, cve=cve, text=text, score=score))
    (place / "kpatch.info").write_text("".join(parts))
