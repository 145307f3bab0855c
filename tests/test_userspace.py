"""Patches for real ELF files: packed, deployed, fetched by build-id, byte for byte what went in."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import requests

from eportal_core.patchsets.pack import pack
from eportal_core.patchsets.spec import PatchsetSpec
from eportal_libcare import plugin as libcare
from eportal_qemucare import plugin as qemucare
from tests.support.elfs import STYLES, build_id, library, program
from tests.support.inprocess import InProcess
from tests.support.polling import eventually
from tests.support.serving import Served

OLD, NEW = 2021012901, 2021012902
OLDER, NEWER, LATER = "U20210129_01", "U20210129_02", "U20210130_01"
#: Every byte there is, and more than one block of a tar file.
BYTES = bytes(range(256)) * 9


def patch(target: str, level: int) -> dict[str, bytes]:
    """The files of a level by name."""
    told = f"{level} of {target}\n".encode()
    return {"kpatch.bin": told + BYTES, "kpatch.bin.sig": b"signature of " + told}


def write_level(folder: Path, target: str, level: int) -> Path:
    """``<level>/<file>`` for ``target`` below ``folder``."""
    place = folder / str(level)
    place.mkdir(parents=True)
    for name, content in patch(target, level).items():
        (place / name).write_bytes(content)
    return folder


def archive(
    folder: Path, name: str, levels: Mapping[str, int], spec: PatchsetSpec = libcare.spec
) -> Path:
    """An archive of the ready layout ``<build-id>/<level>/<file>``."""
    content = folder / f"{name}-content"
    for target, level in levels.items():
        write_level(content / target, target, level)
    path = folder / f"{name}.tar.bz2"
    pack(content, path, spec)
    return path


def unpacked(bundle: bytes) -> dict[str, bytes | str]:
    """Content by member, and where a link leads; tar itself must read it too."""
    subprocess.run(["tar", "-tzf", "-"], input=bundle, check=True, capture_output=True)
    found: dict[str, bytes | str] = {}
    with tarfile.open(fileobj=io.BytesIO(bundle), mode="r:gz") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            found[member.name] = file.read() if file else member.linkname
    return found


def expected(target: str, level: int) -> dict[str, bytes | str]:
    """What a bundle holds: the storage layout of libcare."""
    files = {f"./{target}/{level}/{name}": data for name, data in patch(target, level).items()}
    return {f"./{target}/latest": str(level), **files}


class Asking:
    """A registered server that asks a served portal for bundles."""

    def __init__(self, served: Served, *key_options: str) -> None:
        key = served.cli.json("key", "-a", "--random", *key_options)["key"]
        self._url = served.url
        self.auth = (served.register(key), "any")

    def get(self, path: str, **headers: str) -> requests.Response:
        return requests.get(f"{self._url}{path}", auth=self.auth, headers=headers, timeout=10)

    def bundle(self, target: str, prefix: str = "/userspace/any") -> requests.Response:
        return self.get(f"{prefix}/{target}/kpatch.tgz")
