"""Patchset archives byte by byte: good ones, and ones that no honest program makes."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import lzma
import shutil
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
import zstandard

from eportal_core.patchsets.archive import Limits, unpack
from eportal_core.patchsets.manifest import Manifest
from eportal_core.patchsets.spec import PatchsetSpec
from eportal_core.types import Product

SPEC = PatchsetSpec(
    product=Product(name="kernel", command="kcare", title="KernelCare"),
    archive_name=r"K\d{8}_\d+",
    tree="resources",
)
NAME = "K20261122_01"
WEB = "a" * 40
DB = "b" * 40
#: A small patchset: two targets, three files.
FILES = {
    f"{WEB}/7/kpatch.bin": b"patch for web" * 50,
    f"{WEB}/7/kpatch.info": b"OS: debian12\nuname: 6.1.0-7\n\nkpatch-name: 1\n",
    f"{DB}/12/kpatch.bin": b"patch for db" * 50,
}
LIMITS = Limits(files=1000, bytes=100_000_000, ratio=200)

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".bz2": bz2.compress,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}
#: Every way in which an archive is read, and the suffix of such archives.
READERS = {"lbzip2": ".bz2", "bz2": ".bz2", "gz": ".gz", "xz": ".xz", "zst": ".zst"}


def use_reader(reader: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """See to it that ``reader`` will be used, and return the suffix."""
    assert reader != "lbzip2" or shutil.which("lbzip2"), "scripts/test installs lbzip2"
    if reader == "bz2":
        monkeypatch.setenv("PATH", "")
    return READERS[reader]


def entry(
    name: str,
    content: bytes = b"",
    kind: bytes = tarfile.REGTYPE,
    *,
    link: str = "",
    size: int | None = None,
    style: Literal[0, 1, 2] = tarfile.GNU_FORMAT,
    pax: Mapping[str, str] | None = None,
) -> bytes:
    """A tar member: header, extended headers where needed, padded content."""
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = link
    member.size = len(content) if size is None else size
    member.pax_headers = dict(pax or {})
    header = member.tobuf(tarfile.PAX_FORMAT if pax else style, "utf-8", "surrogateescape")
    return header + content + bytes(-len(content) % 512)


def rechecked(header: bytes) -> bytes:
    """A header block with the checksum that its other bytes have."""
    blank = header[:148] + b" " * 8 + header[156:]
    return header[:148] + b"%06o\0 " % sum(blank) + header[156:]


def tar(*members: bytes) -> bytes:
    return b"".join(members) + bytes(1024)


def members(files: Mapping[str, bytes] = FILES, **options: Any) -> bytes:
    return b"".join(entry(name, content, **options) for name, content in files.items())


def manifest(files: Mapping[str, bytes] = FILES, **changes: Any) -> dict[str, Any]:
    """A true manifest of ``files`` as JSON has it, but for ``changes``."""
    targets: dict[str, Any] = {}
    for path, content in files.items():
        target, level, name = path.split("/")
        described = targets.setdefault(target, {"level": int(level), "files": {}})
        sha256 = hashlib.sha256(content).hexdigest()
        described["files"][name] = {"sha256": sha256, "size": len(content)}
    return {"format": 1, "product": "kernel", "name": NAME, "targets": targets} | changes


def manifest_entry(files: Mapping[str, bytes] = FILES, **changes: Any) -> bytes:
    return entry("patchset.json", json.dumps(manifest(files, **changes)).encode())


def store(folder: Path, tar_bytes: bytes, name: str = NAME, suffix: str = ".gz") -> Path:
    """The compressed archive as a file in ``folder``."""
    path = folder / f"{name}.tar{suffix}"
    path.write_bytes(COMPRESS[suffix](tar_bytes))
    return path


def unpack_into(folder: Path, archive: Path, limits: Limits = LIMITS, **options: Any) -> Manifest:
    """Unpack into the new folder ``<folder>/staging``."""
    staging = folder / "staging"
    staging.mkdir()
    return unpack(archive, staging, SPEC, limits, **options)


def contents(folder: Path) -> dict[str, bytes]:
    """Every regular file below ``folder`` by its relative path; nothing else may be there."""
    found = {}
    for path in folder.rglob("*"):
        if not path.is_dir() or path.is_symlink():
            assert path.is_file(), path
            assert not path.is_symlink(), path
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found
