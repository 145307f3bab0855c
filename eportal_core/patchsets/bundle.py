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
from typing import IO

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
    level = level_folder.name
    with (
        path.open("xb") as raw,
        # No name and no time in its head.
        gzip.GzipFile("", "wb", _COMPRESSION, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.GNU_FORMAT) as bundle,
    ):
        link = tarfile.TarInfo(f"./{target}/{LATEST}")
        link.type, link.linkname, link.mode = tarfile.SYMTYPE, level, 0o777
        bundle.addfile(link)
        for source in sorted(level_folder.iterdir()):
            member = tarfile.TarInfo(f"./{target}/{level}/{source.name}")
            member.size = source.stat().st_size
            with source.open("rb") as file:
                bundle.addfile(member, file)
    path.chmod(0o644)


def bundle_fault(path: Path, target: str, entry: Target) -> str:
    """What is wrong with the bundle of a level; empty when it holds the level and nothing else."""
    if path.is_symlink() or not path.is_file():
        return "is no regular file" if path.exists() else "is missing"
    try:
        return "" if _members(path) == _expected(target, entry) else "has changed"
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        return f"cannot be read: {error}"


def _expected(target: str, entry: Target) -> dict[str, str]:
    files = {f"./{target}/{entry.level}/{name}": file.sha256 for name, file in entry.files.items()}
    return {f"./{target}/{LATEST}": f"-> {entry.level}", **files}


def _members(path: Path) -> dict[str, str]:
    """Name -> sha256, or where a link leads; a name that comes twice is no bundle of ours."""
    found: dict[str, str] = {}
    with tarfile.open(path, "r|gz") as bundle:
        for member in bundle:
            content = bundle.extractfile(member) if member.isreg() else None
            if member.name in found or (content is None and not member.issym()):
                raise tarfile.TarError(f"it holds {member.name!r}")
            found[member.name] = f"-> {member.linkname}" if content is None else _sha256(content)
    return found


def _sha256(content: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := content.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
