"""An archive that unpacks to 3,000 files and 532 MB, and compresses as patches do (to 38 %)."""

from __future__ import annotations

import hashlib
import random
import shutil
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
    rng = random.Random(20261122)
    text = _machine_code(rng)
    for number in range(TARGETS):
        level = folder / hashlib.sha1(str(number).encode()).hexdigest() / str(LEVEL)
        level.mkdir(parents=True)
        for name, size in FILES.items():
            (level / name).write_bytes(_content(rng, text, size))


def _machine_code(rng: random.Random) -> bytes:
    """15 MB of short phrases, a few of them frequent: bzip2 leaves a third of it."""
    skewed = bytes(min(255, int(rng.expovariate(1 / 18))) for _ in range(256))
    phrases = [rng.randbytes(rng.randrange(2, 9)).translate(skewed) for _ in range(4000)]
    weights = [1 / (rank + 3) for rank in range(len(phrases))]
    return b"".join(rng.choices(phrases, weights, k=3_000_000))


def _content(rng: random.Random, text: bytes, size: int) -> bytes:
    """Passages of ``text``, bytes that do not compress, and zeros, as modules and patches have.

    The zeros matter: without them bzip2 needs twice the time that it needs for shared libraries.
    """
    content = bytearray()
    while len(content) < size:
        start, length = rng.randrange(len(text) - 4096), rng.randrange(200, 4096)
        content += text[start : start + length]
        content += rng.randbytes(length * 7 // 10)
        content += bytes(length * 12 // 10)
    return bytes(content[:size])
