"""Archives that no honest program makes, each a real file; none may be deployed."""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from eportal_core.patchsets.archive import RATIO_FREE_BYTES
from eportal_core.patchsets.manifest import FORMAT, MANIFEST_NAME
from eportal_core.patchsets.spec import PatchsetSpec
from eportal_core.testing.content import layout

#: A path with the kind of member that it is, its content or where its link leads.
Member: TypeAlias = tuple[str, bytes, bytes | str]


@dataclass(frozen=True)
class Ground:
    """What a bad archive is made of.

    name: free for a patchset. target, level: of what it brings. deployed: a patchset that is here
    already. published: its target, with the level. folder: for the file.
    """

    spec: PatchsetSpec
    name: str
    target: str
    level: int
    deployed: str
    published: tuple[str, int]
    folder: Path

    @property
    def files(self) -> dict[str, bytes]:
        return layout(self.spec, {self.target: self.level})

    @property
    def place(self) -> str:
        return f"{self.target}/{self.level}"

    def manifest(self, files: Mapping[str, bytes], **changes: object) -> Member:
        """A true one of ``files``, but for ``changes``."""
        targets: dict[str, Any] = {}
        for path, content in files.items():
            target, level, name = path.split("/")
            described = targets.setdefault(target, {"level": int(level), "files": {}})
            sha256 = hashlib.sha256(content).hexdigest()
            described["files"][name] = {"sha256": sha256, "size": len(content)}
        product = self.spec.product.name
        whole = {"format": FORMAT, "product": product, "name": self.name, "targets": targets}
        return _file(MANIFEST_NAME, json.dumps(whole | changes).encode())

    def store(self, *members: Member, patchset: str = "", cut: int = 0, after: bytes = b"") -> Path:
        """The archive of ``patchset``, ``name`` unless given, without its last ``cut`` bytes.

        after: what follows the tar stream, packed as that is.
        """
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name, kind, content in members:
                member = tarfile.TarInfo(name)
                member.type = kind
                if isinstance(content, str):
                    member.linkname = content
                    archive.addfile(member)
                else:
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
        path = self.folder / f"{patchset or self.name}.tar.bz2"
        packed = bz2.compress(stream.getvalue() + after)
        path.write_bytes(packed[: len(packed) - cut])
        return path

    def whole(self) -> list[Member]:
        """The members of an archive that nothing is wrong with."""
        return [self.manifest(self.files), *_all(self.files)]


def _file(path: str, content: bytes) -> Member:
    return path, tarfile.REGTYPE, content


def _all(files: Mapping[str, bytes]) -> list[Member]:
    return [_file(path, content) for path, content in files.items()]


def _beside(member: Callable[[Ground], Member]) -> Callable[[Ground], Path]:
    """A good archive without a manifest, but for the ``member`` that it begins with."""
    return lambda ground: ground.store(member(ground), *_all(ground.files))


def _declared(**changes: object) -> Callable[[Ground], Path]:
    """A good archive, but for ``changes`` of its manifest."""
    return lambda ground: ground.store(
        ground.manifest(ground.files, **changes), *_all(ground.files)
    )


def _tampered(ground: Ground) -> Path:
    path, content = list(ground.files.items())[-1]
    changed = ground.files | {path: content[:-1] + b"?"}
    return ground.store(ground.manifest(ground.files), *_all(changed))


def _no_target(spec: PatchsetSpec) -> str:
    return next(name for name in ("no-target", "-") if not spec.is_target(name))


def _other_size(ground: Ground) -> Path:
    path, kind, text = ground.manifest(ground.files)
    assert isinstance(text, bytes)
    whole = json.loads(text)
    described = next(iter(whole["targets"][ground.target]["files"].values()))
    described["size"] += 1
    return ground.store((path, kind, json.dumps(whole).encode()), *_all(ground.files))


def _followed(ground: Ground) -> Path:
    path = ground.store(*ground.whole())
    path.write_bytes(path.read_bytes() + b"more")
    return path


def _again(ground: Ground) -> Path:
    """The very levels of a patchset that is here, in an archive that is not the same."""
    target, level = ground.published
    return ground.store(*_all(layout(ground.spec, {target: level})), patchset=ground.deployed)


def _no_bytes(ground: Ground) -> Path:
    path = ground.store()
    path.write_bytes(b"")
    return path


#: What is wrong -> an archive of which this is true.
ARCHIVES: dict[str, Callable[[Ground], Path]] = {
    "wrong name": lambda ground: ground.store(*_all(ground.files), patchset="no name"),
    "of another product": _declared(product="another"),
    "of another patchset": _declared(name="another"),
    "of a newer format": _declared(format=FORMAT + 1),
    "path out of the archive": _beside(lambda ground: _file("../escaped", b"x")),
    "path out of its target": _beside(
        lambda ground: _file(f"{ground.place}/../../../escaped", b"x")
    ),
    "absolute path": _beside(lambda ground: _file(f"{ground.folder}/escaped", b"x")),
    "symbolic link": _beside(
        lambda ground: (f"{ground.place}/link", tarfile.SYMTYPE, "/etc/passwd")
    ),
    "target that is a link": _beside(
        lambda ground: (ground.target, tarfile.SYMTYPE, f"{ground.folder}")
    ),
    "latest that leads elsewhere": _beside(
        lambda ground: (f"{ground.target}/latest", tarfile.SYMTYPE, f"../{ground.place}")
    ),
    "latest that leads to no level": _beside(
        lambda ground: (f"{ground.target}/latest", tarfile.SYMTYPE, f"{ground.level + 1}")
    ),
    "hard link": _beside(
        lambda ground: (f"{ground.place}/link", tarfile.LNKTYPE, next(iter(ground.files)))
    ),
    "device": _beside(lambda ground: (f"{ground.place}/device", tarfile.CHRTYPE, b"")),
    "named pipe": _beside(lambda ground: (f"{ground.place}/pipe", tarfile.FIFOTYPE, b"")),
    "file that comes twice": lambda ground: ground.store(*ground.whole(), ground.whole()[-1]),
    "file that is not as the manifest says": _tampered,
    "size that is not as the manifest says": _other_size,
    "file that is missing": lambda ground: ground.store(*ground.whole()[:-1]),
    "file that the manifest has not": lambda ground: ground.store(
        *ground.whole(), _file(f"{ground.place}/more", b"x")
    ),
    "two levels of a target": _beside(
        lambda ground: _file(f"{ground.target}/{ground.level + 1}/kpatch.bin", b"x")
    ),
    "level that is published with other bytes": _beside(
        lambda ground: _file("/".join(map(str, (*ground.published, "kpatch.bin"))), b"other")
    ),
    "target of something else": _beside(
        lambda ground: _file(f"{_no_target(ground.spec)}/1/kpatch.bin", b"x")
    ),
    "file out of place": _beside(lambda ground: _file("kpatch.bin", b"x")),
    "file with a name that is none": _beside(lambda ground: _file(f"{ground.place}/-\n", b"x")),
    "file named as the link is": _beside(lambda ground: _file(f"{ground.place}/latest", b"x")),
    "directory out of place": _beside(
        lambda ground: (_no_target(ground.spec), tarfile.DIRTYPE, b"")
    ),
    "empty directory": _beside(lambda ground: (ground.published[0], tarfile.DIRTYPE, b"")),
    "deployed already from another archive": _again,
    "larger than it looks": _beside(
        lambda ground: _file(f"{ground.place}/zeros", bytes(RATIO_FREE_BYTES))
    ),
    "followed by other bytes": _followed,
    "tar stream that is followed by other bytes": lambda ground: ground.store(
        *ground.whole(), after=b"more"
    ),
    "truncated": lambda ground: ground.store(*ground.whole(), cut=20),
    "no members": lambda ground: ground.store(),
    "no bytes": _no_bytes,
}
