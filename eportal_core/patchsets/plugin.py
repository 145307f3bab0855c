"""``PatchsetPlugin``: the hooks of a product that is made of patchset archives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eportal_core.markers import hookimpl
from eportal_core.patchsets.spec import PatchsetSpec
from eportal_core.types import Product, Release, Tree

if TYPE_CHECKING:
    import click
    from starlette.routing import BaseRoute

    from eportal_core.patchsets.store import PatchsetStore
    from eportal_core.portal import Portal
    from eportal_core.storage import Entry

# Imports inside the hooks keep `kc.eportal --help` from loading what only serving or deploying
# needs: a command is started a thousand times by `xargs -n1`.


@dataclass(frozen=True)
class PatchsetPlugin:
    """A plugin that is one value: ``plugin = PatchsetPlugin(PatchsetSpec(...))``."""

    spec: PatchsetSpec

    @hookimpl
    def eportal_products(self) -> Sequence[Product]:
        return [self.spec.product]

    @hookimpl
    def eportal_commands(self, cli: click.Group) -> None:
        from eportal_core.patchsets.commands import add_commands

        add_commands(cli, self.spec)

    @hookimpl
    def eportal_agent_routes(self, portal: Portal) -> Sequence[BaseRoute]:
        from eportal_core.agent.files import level_routes

        store = self._store(portal)
        return [*self.spec.agent_routes(portal, store), *level_routes(store)]

    @hookimpl
    def eportal_storage(self, portal: Portal) -> Sequence[Tree]:
        return [Tree(self.spec.product.name, self.spec.tree, self._store(portal))]

    @hookimpl
    def eportal_deploy(self, portal: Portal, product: str, archive: Path) -> Release | None:
        if product != self.spec.product.name:
            return None
        from eportal_core.patchsets.deploy import deploy

        return deploy(portal, self._store(portal), archive)

    @hookimpl
    def eportal_unroll(
        self, portal: Portal, product: str, patchset: str, delete: bool
    ) -> Sequence[Entry] | None:
        if product != self.spec.product.name:
            return None
        from eportal_core.patchsets.deploy import published

        return published(self._store(portal), patchset) if delete else []

    def _store(self, portal: Portal) -> PatchsetStore:
        from eportal_core.patchsets.store import PatchsetStore

        return PatchsetStore(self.spec, portal.storage, portal.config["CACHE_MODE"])
