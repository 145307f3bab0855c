"""What the patchsets of the tests hold, and how to tell it from anything else."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Collection, Mapping
from pathlib import Path

from eportal_core.patchsets.archive import LATEST
from eportal_core.patchsets.spec import PatchsetSpec

#: Only a server whose key has the product may have these: see ``private_files``.
NAMES = ("kpatch.bin", "kpatch.bin.sig")


def files(spec: PatchsetSpec, target: str, level: int) -> dict[str, bytes]:
    """The files of a level by name; no two levels have a file in common."""
    told = f"{level} of {target}".encode()
    return {
        name: b"%b\0\xff\n%b\n" % (name.encode(), told) + told * (100 * number)
        for number, name in enumerate([*NAMES, *sorted(spec.public_files - set(NAMES))])
    }


def private_files(spec: PatchsetSpec) -> list[str]:
    """Names of files that not everybody may have."""
    return [name for name in NAMES if name not in spec.public_files]


def layout(spec: PatchsetSpec, levels: Mapping[str, int]) -> dict[str, bytes]:
    """``<target>/<level>/<file>`` with its content, for each target of ``levels``."""
    return {
        f"{target}/{level}/{name}": content
        for target, level in levels.items()
        for name, content in files(spec, target, level).items()
    }


def write(folder: Path, content: Mapping[str, bytes]) -> Path:
    """Files by their path below ``folder``, which is made."""
    for name, data in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def bundled_level(spec: PatchsetSpec, bundle: bytes, target: str, levels: Collection[int]) -> int:
    """Which of ``levels`` the bundle holds: all of it, byte for byte, and nothing else."""
    found: dict[str, bytes | str] = {}
    with tarfile.open(fileobj=io.BytesIO(bundle), mode="r:gz") as archive:
        for member in archive:
            assert member.name not in found, f"{member.name} is in the bundle twice"
            content = archive.extractfile(member) if member.isreg() else None
            found[member.name] = f"-> {member.linkname}" if content is None else content.read()
    link = found.pop(f"./{target}/{LATEST}", "")
    for level in levels:
        whole = {f"./{name}": data for name, data in layout(spec, {target: level}).items()}
        if found == whole and link == f"-> {level}":
            return level
    raise AssertionError(f"the bundle of {target} holds {sorted(found)}, latest {link!r}")
