"""``kpatch.tgz``: a level as agents of userspace products get it, in libcare's storage layout.

``./<target>/<level>/<file>`` and ``./<target>/latest``, a link whose text is the level. It is made
once, when the level is published, and equal levels give equal bytes. Source: docs/agents.md.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from pathlib import Path

from eportal_core.patchsets.archive import LATEST
from eportal_core.patchsets.manifest import Target

BUNDLE_NAME = "kpatch.tgz"
_COMPRESSION = 6
_CHUNK = 1 << 20


def bundle_name(level: int) -> str:
    """Name of the bundle, beside the level's folder."""
    return f"{level}.tgz"


def write_bundle(path: Path, target: str, level_folder: Path) -> None:
    """Make the bundle ``path`` of the level in ``level_folder``, which is named by its number."""
    level = int(level_folder.name)
    with (
        path.open("xb") as raw,
        # No name and no time in its head.
        gzip.GzipFile("", "wb", _COMPRESSION, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.GNU_FORMAT) as bundle,
    ):
        bundle.addfile(_link(target, level))
        for source in sorted(level_folder.iterdir()):
            with source.open("rb") as file:
                bundle.addfile(_member(target, level, source.name, source.stat().st_size), file)
    path.chmod(0o644)


def bundle_fault(path: Path, target: str, entry: Target) -> str:
    """What is wrong with the bundle of a level; empty when it unpacks to what was packed."""
    if path.is_symlink() or not path.is_file():
        return "is no regular file" if path.exists() else "is missing"
    try:
        with gzip.open(path) as unpacked:
            return "" if _is_level(unpacked, target, entry) else "has changed"
    except (OSError, EOFError, zlib.error) as error:
        return f"cannot be read: {error}"


def _link(target: str, level: int) -> tarfile.TarInfo:
    link = tarfile.TarInfo(f"./{target}/{LATEST}")
    link.type, link.linkname, link.mode = tarfile.SYMTYPE, str(level), 0o777
    return link


def _member(target: str, level: int, name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(f"./{target}/{level}/{name}")
    member.size = size
    return member


def _is_level(bundle: gzip.GzipFile, target: str, entry: Target) -> bool:
    """Whether these are, to the last byte, the heads that we write, and files of these hashes."""
    if not _goes_on_with(bundle, _head(_link(target, entry.level))):
        return False
    for name, file in sorted(entry.files.items()):
        head = _head(_member(target, entry.level, name, file.size))
        if not _goes_on_with(bundle, head) or _sha256(bundle, file.size) != file.sha256:
            return False
        if not _goes_on_with(bundle, bytes(-file.size % tarfile.BLOCKSIZE)):
            return False
    # Source: tar(5): two blocks of zeros, and more of them until the record is full.
    end = 2 * tarfile.BLOCKSIZE
    end += -(bundle.tell() + end) % tarfile.RECORDSIZE
    return _goes_on_with(bundle, bytes(end)) and not bundle.read(1)


def _head(member: tarfile.TarInfo) -> bytes:
    return member.tobuf(tarfile.GNU_FORMAT)


def _goes_on_with(bundle: gzip.GzipFile, expected: bytes) -> bool:
    return bundle.read(len(expected)) == expected


def _sha256(bundle: gzip.GzipFile, size: int) -> str:
    """Of the next ``size`` bytes, in hex."""
    digest = hashlib.sha256()
    while size and (chunk := bundle.read(min(size, _CHUNK))):
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest()
