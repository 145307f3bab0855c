"""A publisher, a portal that reads him, and one that has nothing but what is carried to it."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eportal_core.patchsets.pack import pack
from tests.support.inprocess import Done, InProcess
from tests.support.patches import DB, SPEC, WEB, patch_dir
from tests.support.sources import MadeSource, make_source

FIRST, SECOND, THIRD = "K20260101_01", "K20260102_01", "K20260103_01"
USERSPACE = "U20260101_01"


@dataclass(frozen=True)
class World:
    """``folder`` holds everything: ``source``, the data of ``near`` and ``far``, the bundles.

    more_near, more_far: what is in the environment besides the patch source.
    """

    folder: Path
    more_near: Mapping[str, str] = field(default_factory=dict)
    more_far: Mapping[str, str] = field(default_factory=dict)

    @property
    def source(self) -> MadeSource:
        return MadeSource(self.folder / "source")

    @property
    def near(self) -> InProcess:
        return InProcess(self.folder / "near")

    @property
    def far(self) -> InProcess:
        return InProcess(self.folder / "far")

    @property
    def near_environ(self) -> dict[str, str]:
        return {
            "EPORTAL_PATCH_SOURCE_URL": str(self.source.folder),
            "EPORTAL_PATCH_SOURCE_FINGERPRINT": self.source.fingerprint,
            **self.more_near,
        }

    @property
    def far_environ(self) -> dict[str, str]:
        return {"EPORTAL_PATCH_SOURCE_FINGERPRINT": self.source.fingerprint, **self.more_far}

    def create(self, *arguments: object, name: str = "bundle") -> Path:
        """A bundle that must be made."""
        folder = self.folder / name
        self.near.ok("bundle", "create", *arguments, folder, **self.near_environ)
        return folder

    def refused_create(self, *arguments: object) -> str:
        """The sentence of a creation that must fail and leave nothing."""
        before = set(self.folder.iterdir())
        folder = self.folder / "refused"
        done = self.near("bundle", "create", *arguments, folder, **self.near_environ)
        assert (done.code != 0, done.out) == (True, ""), done
        assert set(self.folder.iterdir()) == before
        return done.said

    def apply(self, *arguments: object) -> Done:
        return self.far("bundle", "apply", *arguments, **self.far_environ)

    def applied(self, *arguments: object) -> str:
        """What is printed of a bundle that must be applied without complaint."""
        done = self.apply(*arguments)
        assert (done.code, done.err) == (0, ""), done
        return done.out

    def refused(self, *arguments: object) -> str:
        """The sentence of a bundle that must be refused, and change nothing of what is served."""
        if not self.far.data_dir.exists():
            self.far.ok("feed")
        before = self.published(), self.states()
        done = self.apply(*arguments)
        assert done.code != 0, done
        assert (self.published(), self.states()) == before
        return done.said

    def states(self) -> dict[str, str]:
        """State in main of every patchset that the far portal knows of the check-in's product."""
        return {row["patchset"]: row["feeds"]["main"] for row in self.far.json("kcare", "list")}

    def here(self) -> set[str]:
        """Names of the patchsets whose archives the far portal has."""
        return {path.name.partition(".")[0] for path in (self.far.data_dir / "arch").iterdir()}

    def published(self) -> dict[str, bytes]:
        """Every file of the far portal that agents may get, and every archive."""
        return {
            str(path.relative_to(self.far.data_dir)): path.read_bytes()
            for top in ("arch", "resources", "userspace")
            for path in (self.far.data_dir / top).rglob("*")
            if path.is_file()
        }

    def receipt(self, folder: Path) -> Path:
        """The one that applying wrote into ``folder``."""
        (path,) = folder.glob("receipt-*.json")
        return path


def make_world(folder: Path, days: Mapping[str, int] | None = None) -> World:
    """A source with two kernel patchsets and one of libraries, and two fresh portals."""
    folder.mkdir(exist_ok=True)
    source = make_source(folder / "source", days=days)
    source.add(
        archive(folder, FIRST, {WEB: 1, DB: 1}, 10_000),
        archive(folder, SECOND, {WEB: 2}, 30_000),
    )
    source.offer("libcare", USERSPACE)
    return World(folder)


def archive(folder: Path, name: str, levels: Mapping[str, int], size: int = 1000) -> Path:
    """A kernel archive in ``folder``; each patch has ``size`` bytes that cannot be packed."""
    chance = random.Random(name)
    content = patch_dir(folder / f"{name}-content", levels)
    for path in sorted(content.rglob("kpatch.bin")):
        path.write_bytes(chance.randbytes(size))
    path = folder / f"{name}.tar.bz2"
    pack(content, path, SPEC)
    shutil.rmtree(content)
    return path


def copy_world(world: World, folder: Path) -> World:
    shutil.copytree(world.folder, folder, symlinks=True)
    return World(folder)


def contents(bundle: Path) -> Any:
    return json.loads((bundle / "bundle.json").read_text())


def archives_in(folder: Path) -> set[str]:
    """Names of the patchsets whose archives are below ``folder``."""
    return {path.name.split(".")[1] for path in folder.rglob("targets/*/*.tar.*")}
