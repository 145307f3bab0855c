"""A portal whose ESU repositories have a real upstream, signed with a real key."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.support.esu_upstream import PASSWORD, USER, Upstream, upstream
from tests.support.inprocess import Done, InProcess
from tests.support.rpms import Signer, build_rpm, end_agent, make_repodata

REPOSITORY = "almalinux9/esu"
FIRST_REVISION = 1000


@dataclass(frozen=True)
class Packages:
    """Made once, for all the tests of a module: a key, and a folder of packages."""

    signer: Signer
    key: Path
    folder: Path

    def path(self, name: str, version: str = "1.0", size: int = 2000) -> Path:
        path = self.folder / f"{name}-{version}-1.noarch.rpm"
        return path if path.exists() else build_rpm(self.folder, name, version, size)


@contextmanager
def packages(folder: Path) -> Iterator[Packages]:
    """With a world in which one package, ``hello``, is published and mirrored."""
    signer = Signer.make(folder / "gpg")
    made = Packages(signer, signer.public_key(folder / "key.asc"), folder / "rpms")
    try:
        (folder / "upstream").mkdir()
        with upstream(folder / "upstream") as source:
            first = World(made, source, folder / "var")
            first.add("hello")
            first.publish(revision=FIRST_REVISION)
            first.update()
        yield made
    finally:
        end_agent(signer.home)


@dataclass
class World:
    """``source`` is the repository upstream, ``mirror`` what the portal made of it."""

    made: Packages
    upstream: Upstream
    data_dir: Path
    _revisions: Iterator[int] = field(default_factory=lambda: count(FIRST_REVISION + 1))

    @property
    def source(self) -> Path:
        return self.upstream.folder / REPOSITORY

    @property
    def mirror(self) -> Path:
        return self.data_dir / "esu" / REPOSITORY

    @property
    def settings(self) -> dict[str, str]:
        return {
            "ESU_URL": self.upstream.url,
            "ESU_USER": USER,
            "ESU_PASSWORD": PASSWORD,
            "ESU_REPOSITORIES": REPOSITORY,
            "ESU_GPG_KEY": str(self.made.key),
        }

    def add(self, name: str, version: str = "1.0", size: int = 2000) -> str:
        """Put a package upstream; returns its href. Nobody sees it before ``publish``."""
        href = f"Packages/{name[0]}/{name}-{version}-1.noarch.rpm"
        (self.source / href).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.made.path(name, version, size), self.source / href)
        return href

    def remove(self, href: str) -> None:
        (self.source / href).unlink()

    def publish(self, *options: object, revision: int | None = None) -> None:
        """Make and sign new metadata upstream, by default of a later revision."""
        make_repodata(self.source, "--revision", revision or next(self._revisions), *options)
        self.made.signer.sign(self.source)

    def run(self, *arguments: object, **settings: str) -> Done:
        """``kc.eportal esu …`` in this process."""
        environ = {f"EPORTAL_{k}": v for k, v in {**self.settings, **settings}.items()}
        return InProcess(self.data_dir)("esu", *arguments, **environ)

    def update(self) -> str:
        """An update that must go well; returns what it says."""
        done = self.run("update")
        assert (done.code, done.err) == (0, ""), done
        return done.out

    def refused(self, *, fetched: bool = False, **settings: str) -> str:
        """The sentence of an update that must fail, and change nothing of what clients see.

        fetched: packages that no metadata names yet may be there.
        """
        before = self.seen()
        done = self.run("update", **settings)
        assert done.code == 1, done
        assert "Traceback" not in done.err
        after = self.seen()
        assert after == before or (fetched and after.items() > before.items())
        return done.err

    def seen(self) -> dict[str, bytes]:
        """Every file that a client can name, by its path, and its bytes."""
        found: dict[str, bytes] = {}
        for top in self.mirror.glob("[!.]*"):
            for path in [top, *top.resolve().rglob("*")]:
                if path.is_file() and not path.name.endswith((".part", ".part.json")):
                    inside = path.relative_to(top.resolve())
                    found[f"{top.name}/{inside}"] = path.read_bytes()
        return found


@contextmanager
def world(made: Packages, folder: Path, *, mirrored: bool = False) -> Iterator[World]:
    """``hello`` is published and, if ``mirrored``, mirrored."""
    first = made.folder.parent
    shutil.copytree(first / "upstream", folder / "upstream")
    if mirrored:
        shutil.copytree(first / "var", folder / "var", symlinks=True)
    with upstream(folder / "upstream") as source:
        yield World(made, source, folder / "var")
