"""What happens between an archive and the files of a patchset, and back."""

from __future__ import annotations

from pathlib import Path

from eportal_core.errors import ArchiveError, NotFound, StorageError
from eportal_core.models import Offer, Patchset
from eportal_core.patchsets.archive import Limits, patchset_name, unpack
from eportal_core.patchsets.description import META_SUFFIX, describes, read_description
from eportal_core.patchsets.manifest import Manifest
from eportal_core.patchsets.progress import progress_bar
from eportal_core.patchsets.spec import PatchsetSpec
from eportal_core.patchsets.store import PatchsetStore, copy_hashed
from eportal_core.portal import Portal
from eportal_core.storage import Entry
from eportal_core.types import Release, ReleasedLevel


def deploy(portal: Portal, store: PatchsetStore, archive: Path) -> Release:
    """Unpack, check and publish ``archive``; of a manifest, publish that there is this patchset.

    One that is here already is checked, file by file, and what is damaged is published anew.

    Raises:
        NotFound: there is no such file.
        ArchiveError: the archive is refused.
        StorageError: the disk refused.
    """
    if archive.name.endswith(META_SUFFIX):
        return _deploy_manifest(portal, store, archive)
    name = store.spec.check_name(patchset_name(archive))
    if not archive.is_file():
        raise NotFound(f"There is no file {archive}.")
    _refuse_taken(store.spec, name)
    known = Patchset.get_or_none(id=Patchset.key(store.spec.product.name, name))
    workspace = store.storage.workspace()
    # The same bytes may come back under another suffix.
    copy = workspace / ((known is not None and known.archive) or archive.name)
    sha256 = copy_hashed(archive, copy)
    if known is not None:
        if known.sha256 != sha256:
            raise ArchiveError(
                f"{name} is deployed already from another archive; what was published under a "
                f"name does not change."
            )
        if known.archive and not any(store.faults(known)):
            return _release(store.spec, store.manifest(known), known.archive, sha256)
    content = workspace / "content"
    content.mkdir()
    limits = _limits(portal)
    with progress_bar(f"Unpacking {name}") as progress:
        manifest = unpack(copy, content, store.spec, limits, progress)
    if known is not None:
        _refuse_other(known, manifest)
    store.publish(workspace, content, copy, manifest)
    return _release(store.spec, manifest, copy.name, sha256)


def _deploy_manifest(portal: Portal, store: PatchsetStore, path: Path) -> Release:
    """Publish what ``path`` describes, the manifest of a patchset that the patch source lists.

    Of one that is here already, only a manifest that is damaged is replaced.

    Raises:
        NotFound: there is no such file.
        ArchiveError: it is refused, or files cannot come when asked for.
        StorageError: the disk refused.
    """
    name = store.spec.check_name(path.name.removesuffix(META_SUFFIX))
    if not store.on_request:
        raise ArchiveError(
            f"{path.name} describes a patchset and holds no patches: only a portal with CACHE_MODE "
            f"takes it, deploy the archive."
        )
    if not path.is_file():
        raise NotFound(f"There is no file {path}.")
    _refuse_taken(store.spec, name)
    manifest = read_description(path, name, store.spec, _limits(portal))
    key = Patchset.key(store.spec.product.name, name)
    known, offer = Patchset.get_or_none(id=key), Offer.get_or_none(id=key)
    if known is not None:
        _refuse_other(known, manifest)
        if not store.is_described(known):
            store.describe(store.storage.workspace(), manifest)
        return _release(store.spec, manifest, known.archive, known.sha256)
    if offer is None:
        raise ArchiveError(
            f"{name} is not listed by the patch source, so its files could not come from there: "
            f"deploy the archive."
        )
    store.describe(store.storage.workspace(), manifest)
    return _release(store.spec, manifest, "", offer.sha256)


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


def _refuse_other(known: Patchset, manifest: Manifest) -> None:
    """What was published under a name does not change.

    Raises:
        ArchiveError: ``manifest`` is of other levels than ``known``.
    """
    if not describes(manifest, known):
        raise ArchiveError(f"{known.name} is deployed already with other levels.")


def _limits(portal: Portal) -> Limits:
    config = portal.config
    return Limits(
        files=config["ARCHIVE_MAX_FILES"],
        bytes=config["ARCHIVE_MAX_BYTES"],
        ratio=config["ARCHIVE_MAX_RATIO"],
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
