"""A patchset of 3,000 files and 532 MB that compresses to 38 percent or so, as patches do."""

from __future__ import annotations

import hashlib
import random
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from eportal_core.patchsets.pack import pack
from eportal_core.patchsets.spec import PatchsetSpec
from eportal_core.types import Product

SPEC = PatchsetSpec(
    Product(name="kernel", command="kcare", title="KernelCare"), r"K\d{8}_\d+", "resources"
)
NAME = "K20261122_01"
TARGETS = 750
LEVEL = 7
#: Size of each file of a target in bytes; the sum is 532 MB / 750.
FILES = {"kpatch.bin": 620_000, "kcare.ko": 86_000, "kpatch.info": 3_000, "kpatch.bin.sig": 500}


def make_archive(folder: Path) -> Path:
    """``<folder>/K20261122_01.tar.bz2``, made once; takes a minute or two."""
    archive = folder / f"{NAME}.tar.bz2"
    if not archive.exists():
        patches = folder / "patches"
        shutil.rmtree(patches, ignore_errors=True)
        _write_patches(patches)
        pack(patches, archive, SPEC)
        shutil.rmtree(patches)
    return archive


def _write_patches(folder: Path) -> None:
    passages = _passages(_machine_code(), random.Random(20261122))
    for number in range(TARGETS):
        level = folder / hashlib.sha1(str(number).encode()).hexdigest() / str(LEVEL)
        level.mkdir(parents=True)
        for name, size in FILES.items():
            content = bytearray()
            while len(content) < size:
                content += next(passages)
            (level / name).write_bytes(content[:size])


def _machine_code() -> bytes:
    """What this machine's Python and its packages have of shared libraries, 64 MB at most.

    Patches are machine code, and made-up bytes of the same entropy are not: bzip2 needs up to twice
    the time for them, and lbzip2 loses its lead over it.
    """
    code = bytearray()
    for folder in map(sysconfig.get_path, ("platlib", "stdlib")):
        for library in sorted(Path(folder).rglob("*.so")):
            code += library.read_bytes()
    return bytes(code[:64_000_000])


def _passages(code: bytes, rng: random.Random) -> Iterator[bytes]:
    """Pieces of ``code`` in order, over and over, with some bytes that do not compress."""
    position = 0
    while True:
        length = rng.randrange(1_000, 8_000)
        yield code[position : position + length] + rng.randbytes(length // 9)
        position = (position + length) % len(code)
