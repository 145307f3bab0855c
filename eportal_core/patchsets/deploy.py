"""What happens between an archive and the files of a patchset, and back."""

from __future__ import annotations

from pathlib import Path

from eportal_core.errors import ArchiveError, NotFound, StorageError
from eportal_core.models import Patchset
from eportal_core.patchsets.archive import Limits, patchset_name, unpack
from eportal_core.patchsets.manifest import Manifest
from eportal_core.patchsets.progress import progress_bar
from eportal_core.patchsets.spec import PatchsetSpec
from eportal_core.patchsets.store import PatchsetStore, copy_hashed
from eportal_core.portal import Portal
from eportal_core.storage import Entry
from eportal_core.types import Release, ReleasedLevel


def deploy(portal: Portal, store: PatchsetStore, archive: Path) -> Release:
    """Unpack, check and publish ``archive``.

    One that is here already is checked, file by file, and what is damaged is published anew.

    Raises:
        NotFound: there is no such file.
        ArchiveError: the archive is refused.
        StorageError: the disk refused.
    """
    name = store.spec.check_name(patchset_name(archive))
    if not archive.is_file():
        raise NotFound(f"There is no file {archive}.")
    _refuse_taken(store.spec, name)
    known = Patchset.get_or_none(id=Patchset.key(store.spec.product.name, name))
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


def published(store: PatchsetStore, name: str) -> list[Entry]:
    """Everything on disk that belongs to the patchset.

    Raises:
        StorageError: its manifest cannot be used.
    """
    patchset = Patchset.get_by_id(Patchset.key(store.spec.product.name, name))
    try:
        return store.entries(store.manifest(patchset), patchset.archive)
    except (ArchiveError, OSError) as error:
        raise StorageError(
            f"The manifest of {name} cannot be used ({error}); deploy its archive again, then "
            f"delete it."
        ) from error


def _refuse_taken(spec: PatchsetSpec, name: str) -> None:
    """All products share ``arch/``.

    Raises:
        ArchiveError: a patchset of another product has this name.
    """
    taken = Patchset.get_or_none(Patchset.name == name, Patchset.product != spec.product.name)
    if taken is not None:
        raise ArchiveError(
            f"{name} is a patchset of the product {taken.product} already; an archive's name "
            f"belongs to one product."
        )


def _release(spec: PatchsetSpec, manifest: Manifest, archive: str, sha256: str) -> Release:
    return Release(
        name=manifest.name,
        position=spec.order(manifest.name),
        levels=tuple(
            ReleasedLevel(
                target, entry.level, entry.digest(), entry.distro, entry.uname, entry.name
            )
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
