"""The fleet that every variant serves: computed from a server's number, so nothing has to be kept.

The same number gives the same id, key and facts everywhere, which is what makes the answers and
the stored rows of two implementations comparable.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FEEDS = ("main", "test", "production")
KEYS = 20
KERNELS = 200
PATCHSETS = tuple(f"K2026{month:02d}15_01" for month in range(1, 9))

# What an agent reports and a portal stores; with the time of the check-in and of the last change
# of the level these are the 18 columns that a check-in updates.
FACTS = (
    "hostname",
    "ip",
    "release",
    "version",
    "euname",
    "machine",
    "processor",
    "virt",
    "uptime",
    "kernel_id",
    "patch_level",
    "patch_type",
    "tags",
    "kcare_version",
    "distro",
    "distro_version",
)

# Reported as well, stored by nobody here: brings the JSON to the 1.1 KB that was planned for.
_UNSTORED = {
    "agent": {
        "python": "3.9.18",
        "openssl": "OpenSSL 3.0.7 1 Nov 2022",
        "update_method": "cron",
        "auto_update": True,
        "update_delay": "0",
        "prefix": "",
        "proxy": "http://proxy.example.net:3128",
    },
    "cpu": {"cores": 16, "sockets": 1, "microcode": "0xd0003e7", "mitigations": "auto"},
    "last_stop": "2026-10-30T04:12:09+00:00",
    "last_error": "",
    "modules": ["kpatch", "nf_tables", "overlay", "xfs", "virtio_net", "tls", "br_netfilter"],
    "boot": "BOOT_IMAGE=/vmlinuz root=/dev/mapper/rl-root ro crashkernel=1G-4G:192M quiet",
    "packages": {"glibc": "2.34-100.el9", "openssl-libs": "3.0.7-27.el9"},
}


def _alphanumeric(text: str) -> str:
    """Sixteen characters of [A-Za-z0-9] that belong to ``text``."""
    digest = hashlib.blake2b(text.encode(), digest_size=12).digest()
    return base64.b64encode(digest, altchars=b"xy").decode()


def server_id(number: int) -> str:
    return _alphanumeric(f"server {number}")


def key_id(number: int) -> str:
    return _alphanumeric(f"key {number}")


def kernel_id(number: int) -> str:
    return hashlib.sha1(f"Linux version 5.14.0-{number}\n".encode()).hexdigest()


def feed_of_key(key: int) -> int:
    return key % len(FEEDS)


def key_of(server: int) -> int:
    return server % KEYS


def kernel_of(server: int) -> int:
    # Not a divisor of KEYS: every kernel meets every feed.
    return server // KEYS % KERNELS


def patchsets_of(feed: int) -> tuple[str, ...]:
    """The patchsets enabled in a feed, oldest first: each feed lags two behind the one before."""
    return PATCHSETS[: len(PATCHSETS) - 2 * feed]


def level_in(patchset: str, kernel: int) -> int:
    """The level of the patches for one kernel in one patchset."""
    return 2 * (PATCHSETS.index(patchset) + 1) + kernel % 2


def facts(number: int, generation: int, changed: float) -> dict[str, Any]:
    """What server ``number`` reports at its check-in ``generation``.

    The uptime differs each time; the level differs from the generation before on the share
    ``changed`` of the fleet, and stays as it was on the rest.
    """
    kernel = kernel_of(number)
    return {
        "hostname": f"web-{number:07d}.example.net",
        "ip": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
        "release": f"5.14.0-{kernel}.el9_4.x86_64",
        "version": "#1 SMP PREEMPT_DYNAMIC Thu Jun 27 11:31:04 EDT 2024",
        "euname": f"5.14.0-{kernel + 40}.el9_4.x86_64",
        "machine": "x86_64",
        "processor": "Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz",
        "virt": "kvm",
        "uptime": 100_000 + number % 10_000 + 14_400 * generation,
        "kernel_id": kernel_id(kernel),
        "patch_level": 2 + generation % 3 if number % 1000 < changed * 1000 else 1,
        "patch_type": "default",
        "tags": f"env:{('prod', 'test')[number % 2]};rack{number % 40}",
        "kcare_version": "2.94-1.el9",
        "distro": "almalinux",
        "distro_version": "9.4",
    }


@dataclass(frozen=True)
class Request:
    """One check-in as it goes over the wire."""

    path: str
    authorization: str

    def encode(self) -> bytes:
        return (
            f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\n"
            f"Authorization: {self.authorization}\r\nConnection: close\r\n\r\n"
        ).encode()


def request(known: dict[str, Any], server: str) -> Request:
    blob = base64.urlsafe_b64encode(json.dumps({**known, **_UNSTORED}).encode()).decode()
    return Request(
        f"/{known['kernel_id']}/latest.v1?info={blob.rstrip('=')}",
        "Basic " + base64.b64encode(f"{server}:x".encode()).decode(),
    )


def servers(fleet: int, count: int, offset: int) -> Iterator[int]:
    """``count`` server numbers all over the fleet; none comes twice before all have come once."""
    # A prime that divides no fleet size anyone would ask for.
    stride = 7_368_787
    return ((offset + place) * stride % fleet for place in range(count))


def write_requests(path: Path, fleet: int, count: int, generation: int, changed: float) -> int:
    """Write ``count`` check-ins to ``path``, one a line: path, space, Authorization.

    A fleet smaller than ``count`` checks in several times, each time one generation later.
    Returns the next unused generation.
    """
    with path.open("w") as out:
        for place, number in enumerate(servers(fleet, count, generation * count)):
            known = facts(number, generation + place // fleet, changed)
            one = request(known, server_id(number))
            out.write(f"{one.path} {one.authorization}\n")
    return generation + count // fleet + 1
