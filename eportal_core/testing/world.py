"""A portal in this process with the plugins that a test names and no other."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy
from click.testing import CliRunner, Result

from eportal_core import db
from eportal_core.agent.app import agent_app
from eportal_core.cli import PROGRAM, build
from eportal_core.commands.session import Session
from eportal_core.config import Config
from eportal_core.markers import hookimpl
from eportal_core.models import MAIN
from eportal_core.operations import keys, patchsets
from eportal_core.patchsets.pack import pack
from eportal_core.patchsets.spec import PatchsetSpec
from eportal_core.plugins import LoadedPlugin, Plugins, new_manager
from eportal_core.portal import Portal, open_portal
from eportal_core.testing.agents import Agents, asking
from eportal_core.testing.content import layout, write
from eportal_core.types import Product

_QUERIES = (
    "SELECT id, archive, sha256, size, position FROM patchset ORDER BY id",
    "SELECT patchset, target, level, digest FROM level ORDER BY patchset, target",
    "SELECT feed, patchset, state FROM feed_patchset ORDER BY feed, patchset",
    'SELECT "table", key FROM change ORDER BY sequence',
)


class Bystander:
    """A product that no test is about: what a key has that has not the one of the test."""

    product = Product(name="bystander", command="bystander", title="Bystander")

    @hookimpl
    def eportal_products(self) -> Sequence[Product]:
        return [self.product]


@dataclass(frozen=True)
class State:
    """All that a crash or a refusal could have left.

    rows: what the database has, without times. files: every file by its path below the data
    directory, with its sha256; a folder is ``folder``.
    """

    rows: list[list[tuple[Any, ...]]]
    files: dict[str, str]


@dataclass(frozen=True)
class World:
    """A portal, and the product that is tested; ``folder`` is for the archives."""

    portal: Portal
    spec: PatchsetSpec
    folder: Path

    def pack(self, name: str, levels: Mapping[str, int]) -> Path:
        """An archive of the one level that each target has in ``levels``, made as users do."""
        path = self.folder / f"{name}.tar.bz2"
        if not path.exists():
            content = write(self.folder / f"{name}-content", layout(self.spec, levels))
            pack(content, path, self.spec)
        return path

    def deploy(self, archive: Path, feed: str = MAIN) -> None:
        patchsets.deploy(self.portal, self.spec.product, archive, feed=feed)

    def key(self, feed: str = MAIN, products: Sequence[str] | None = None) -> str:
        """A new key with the product, or with ``products``."""
        wanted = [self.spec.product.name] if products is None else products
        return keys.add(self.portal, feed=feed, products=wanted).key

    def kc(self, *arguments: object) -> Result:
        """Run ``kc.eportal`` to its end."""
        session = Session(self.portal.plugins, {})
        session.portal = self.portal
        cli = build(self.portal.plugins)
        return CliRunner().invoke(cli, list(map(str, arguments)), obj=session, prog_name=PROGRAM)

    def verify(self) -> Result:
        return self.kc(self.spec.product.command, "verify")

    @contextmanager
    def agents(self) -> Iterator[Agents]:
        """The agent side, until the block ends."""
        with asking(agent_app(self.portal)) as send:
            yield Agents(send, self.spec, self.key())

    def state(self) -> State:
        data_dir = self.portal.config.data_dir
        with closing(sqlite3.connect(data_dir / db.FILE_NAME)) as database:
            rows = [list(database.execute(query)) for query in _QUERIES]
        return State(rows, dict(_files(data_dir)))

    def files(self) -> dict[str, str]:
        return self.state().files

    def differs_from(self, files: Mapping[str, str]) -> list[str]:
        """Paths below the data directory that are not as they are in ``files``."""
        present = self.files()
        paths = present.keys() | files.keys()
        return sorted(path for path in paths if present.get(path) != files.get(path))


def plugins_of(plugin: object, others: Sequence[object]) -> Plugins:
    """``plugin`` and ``others``, registered as if they were installed.

    Raises:
        ValueError: one of them cannot be registered, or misspells a hook.
    """
    manager = new_manager()
    found = {"tested": plugin, "bystander": Bystander()}
    found |= {f"other{number}": other for number, other in enumerate(others, 1)}
    try:
        for name, each in found.items():
            manager.register(each, name)
        manager.check_pending()
    except (pluggy.PluginValidationError, ValueError) as error:
        raise ValueError(f"A plugin cannot be registered: {error}") from None
    return Plugins(manager, [LoadedPlugin(name) for name in found])


@contextmanager
def open_world(
    plugins: Plugins, spec: PatchsetSpec, folder: Path, settings: Mapping[str, Any]
) -> Iterator[World]:
    """A fresh portal below ``folder``; the block has a database connection."""
    folder.mkdir(exist_ok=True)
    config = Config.of(folder / "var", declared=plugins.settings(), **settings)
    portal = open_portal(config, plugins)
    try:
        with db.connection():
            yield World(portal, spec, folder)
    finally:
        db.close()


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            yield name, f"-> {path.readlink()}"
        elif path.is_dir():
            yield name, "folder"
        elif not name.startswith((db.FILE_NAME, "instance-id")):
            yield name, hashlib.sha256(path.read_bytes()).hexdigest()
