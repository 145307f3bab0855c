"""``PatchsetPlugin``: the hooks of a product that is made of patchset archives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eportal_core.errors import ArchiveError, StorageError
from eportal_core.markers import hookimpl
from eportal_core.models import Patchset
from eportal_core.patchsets.spec import PatchsetSpec
from eportal_core.types import Product, Release, ReleasedLevel

if TYPE_CHECKING:
    import click
    from starlette.routing import BaseRoute

    from eportal_core.patchsets.manifest import Manifest
    from eportal_core.patchsets.store import PatchsetStore
    from eportal_core.portal import Portal

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
        return self.spec.agent_routes(portal, self._store(portal))

    @hookimpl
    def eportal_deploy(self, portal: Portal, product: str, archive: Path) -> Release | None:
        if product != self.spec.product.name:
            return None
        return deploy(portal, self._store(portal), archive)

    @hookimpl
    def eportal_unroll(
        self, portal: Portal, product: str, patchset: str, delete: bool
    ) -> bool | None:
        if product != self.spec.product.name:
            return None
        if delete:
            prepare_removal(self._store(portal), patchset)
        return True

    def _store(self, portal: Portal) -> PatchsetStore:
        from eportal_core.patchsets.store import PatchsetStore

        return PatchsetStore(self.spec, portal.storage)


def deploy(portal: Portal, store: PatchsetStore, archive: Path) -> Release:
    """Unpack, check and publish ``archive``.

    One that is here already is checked, file by file, and what is damaged is published anew.

    Raises:
        ArchiveError: the archive is refused.
        StorageError: the disk refused.
    """
    from eportal_core.patchsets.archive import Limits, patchset_name, unpack
    from eportal_core.patchsets.progress import progress_bar
    from eportal_core.patchsets.store import copy_hashed

    name = store.spec.check_name(patchset_name(archive))
    if not archive.is_file():
        raise StorageError(f"There is no file {archive}.")
    known = Patchset.get_or_none(id=f"{store.spec.product.name}/{name}")
    workspace = store.storage.workspace()
    # The same bytes may come back under another suffix.
    copy = workspace / (known.archive if known is not None else archive.name)
    sha256 = copy_hashed(archive, copy)
    if known is not None:
        if known.sha256 != sha256:
            raise ArchiveError(
                f"{name} is deployed already from another archive; what was published under a "
                f"name does not change."
            )
        if not any(store.faults(known)):
            return _release(store.spec, store.manifest(known), known.archive, sha256)
    content = workspace / "content"
    content.mkdir()
    config = portal.config
    limits = Limits(
        files=config["ARCHIVE_MAX_FILES"],
        bytes=config["ARCHIVE_MAX_BYTES"],
        ratio=config["ARCHIVE_MAX_RATIO"],
    )
    with progress_bar(f"Unpacking {name}") as progress:
        manifest = unpack(copy, content, store.spec, limits, progress)
    store.publish(workspace, content, copy, manifest)
    return _release(store.spec, manifest, copy.name, sha256)


def prepare_removal(store: PatchsetStore, name: str) -> None:
    """Name in the journal what goes when the patchset's rows have gone."""
    patchset = Patchset.get_by_id(f"{store.spec.product.name}/{name}")
    try:
        entries = store.entries(store.manifest(patchset), patchset.archive)
    except (ArchiveError, OSError) as error:
        raise StorageError(
            f"The manifest of {name} cannot be used ({error}); deploy its archive again, then "
            f"delete it."
        ) from error
    store.storage.journal(store.storage.workspace(), entries)


def _release(spec: PatchsetSpec, manifest: Manifest, archive: str, sha256: str) -> Release:
    return Release(
        name=manifest.name,
        position=spec.order(manifest.name),
        levels=tuple(
            ReleasedLevel(target, entry.level, entry.digest(), entry.distro, entry.uname)
            for target, entry in manifest.targets.items()
        ),
        released=manifest.released,
        channels=tuple(manifest.channels),
        distros=tuple(manifest.distros),
        changelog=manifest.changelog,
        archive=archive,
        sha256=sha256,
        size=manifest.size,
    )
