"""The portal: configuration, plugins, products and storage, handed around as one object."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eportal_core import db
from eportal_core.config import Config
from eportal_core.errors import DatabaseError, NotFound, PluginError, PortalError
from eportal_core.markers import THE_CORE
from eportal_core.models import Level, Patchset, of_product, set_node
from eportal_core.plugins import Plugins, claim
from eportal_core.storage import OWN_FOLDERS, Entry, Storage, disk_errors, write_file
from eportal_core.types import Event, Product, Tree

if TYPE_CHECKING:
    from eportal_core.patchsets.store import PatchsetStore

log = logging.getLogger("eportal.portal")

#: What a product's folder may be called.
FOLDER = re.compile(r"[a-z][a-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Portal:
    """A portal that is open: its folders exist and its database is up to date."""

    config: Config
    plugins: Plugins
    products: Mapping[str, Product]
    storage: Storage

    def product(self, name: str) -> Product:
        """The product of this name, or of this older name.

        Raises:
            NotFound: no plugin brings it.
        """
        for product in self.products.values():
            if name in (product.name, *product.aliases):
                return product
        raise NotFound(f"There is no product {name}.")

    def trees(self) -> list[Tree]:
        """The folders that products keep.

        Raises:
            PluginError: two products have the same one, or a name is not that of a folder.
        """
        owners = dict.fromkeys((f"folder {name}" for name in OWN_FOLDERS), THE_CORE)
        trees: list[Tree] = []
        for plugin, brought in self.plugins.lists("eportal_storage", Tree, portal=self):
            for tree in brought:
                if not FOLDER.fullmatch(tree.folder):
                    raise PluginError(
                        f"Plugin {plugin} brings {tree.folder!r}, which is no folder."
                    )
                claim(owners, plugin, f"folder {tree.folder}")
                trees.append(tree)
        return trees

    def stores(self) -> dict[str, PatchsetStore]:
        """The files of every product made of patchset archives, by product.

        Raises:
            PluginError: as from ``trees``.
        """
        return {tree.product: tree.store for tree in self.trees() if tree.store is not None}

    def ask(self, hook: str, **arguments: Any) -> Any:
        """The first answer to ``hook``, one that stops there.

        Raises:
            PluginError: a plugin failed; the sentence names the hook and who implements it.
            OSError: the disk refused; the caller knows what for.
        """
        try:
            return getattr(self.plugins.manager.hook, hook)(**arguments)
        except (PortalError, OSError):
            raise
        # A stranger's code may raise anything.
        except Exception as error:
            names = ", ".join(self.plugins.implementing(hook))
            raise PluginError(
                f"{hook} failed in one of {names}: {type(error).__name__}: {error}."
            ) from error

    def announce(self, event: Event) -> None:
        """Tell the plugins what was committed; one that fails is logged and changes nothing."""
        for plugin in self.plugins.implementing("eportal_event"):
            try:
                self.plugins.call(plugin, "eportal_event", portal=self, event=event)
            # It is done already; whatever a stranger's code raises may not undo the answer.
            except Exception:
                log.exception(
                    "Plugin %s failed to hear of %s %s", plugin, event.kind, event.subject
                )

    def start(self) -> None:
        """Tell the plugins that this process is about to serve.

        Raises:
            PortalError: one of them refused or failed.
        """
        with db.connection():
            for plugin in self.plugins.implementing("eportal_startup"):
                self.plugins.call(plugin, "eportal_startup", portal=self)


def open_portal(config: Config, plugins: Plugins) -> Portal:
    """Open what ``config`` names; an empty data directory becomes a fresh portal.

    Raises:
        PluginError: a required plugin is missing, or two plugins claim the same product or folder.
        StorageError: a folder cannot be made.
        DatabaseError: the database is of another version, or cannot be used.
    """
    plugins.require(config["REQUIRED_PLUGINS"])
    portal = Portal(config, plugins, plugins.products(), open_storage(config))
    db.connect(config.data_dir)
    identity = config.data_dir / "instance-id"
    # Several commands may meet a fresh data directory at once: the first of them makes everything,
    # this file last.
    with nullcontext() if identity.exists() else portal.storage.lock():
        with db.connection():
            _check_schema(migrations(plugins))
        set_node(_instance_id(identity))
    # Before anything is written into a folder that another product has.
    portal.trees()
    return portal


def open_storage(config: Config) -> Storage:
    """The folders that ``config`` names, made where they are missing.

    Raises:
        StorageError: a folder cannot be made.
    """
    storage = Storage(config.data_dir, config.patches_dir, _is_known)
    storage.create()
    return storage


def migrations(plugins: Plugins) -> dict[str, Path]:
    """The folders of migrations that plugins bring, by plugin."""
    return dict(plugins.each("eportal_migrations"))


def _check_schema(directories: Mapping[str, Path]) -> None:
    if db.is_empty(directories):
        # All of it or nothing: whatever a crash left would need an upgrade by hand.
        with db.database.atomic():
            db.migrate(directories)
        return
    db.refuse_newer(directories)
    if waiting := db.pending(directories):
        raise DatabaseError(
            f"The database waits for {', '.join(waiting)}: stop the portal, make a backup, "
            f"then run kc.eportal migrate."
        )


def _instance_id(path: Path) -> str:
    """The random name of this installation, made at its first start."""
    with disk_errors():
        if not path.exists():
            write_file(path, f"{uuid.uuid4().hex}\n".encode())
        return path.read_text().strip()


def _is_known(entry: Entry) -> bool:
    with db.connection():
        if not entry.target:
            return Patchset.get_or_none(id=entry.patchset) is not None
        product, _, _ = entry.patchset.partition("/")
        return (
            Level.select()
            .where(
                Level.target == entry.target,
                Level.level == entry.level,
                of_product(Level.patchset, product),
            )
            .exists()
        )
