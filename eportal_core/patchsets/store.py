"""The files of a patchset product: put them in place, find them, check them, name them for removal.

Layout: ``arch/<name>.tar.*`` and ``arch/<name>.meta.json`` (the manifest), and
``<tree>/<target>/<level>/<file>``; userspace products have ``<tree>/<target>/<level>.tgz`` too.
Of a patchset whose files come when asked for only the manifest is here, and ``Patchset.archive`` is
empty.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eportal_core.errors import ArchiveError, StorageError
from eportal_core.models import Level, Patchset, of_product
from eportal_core.patchsets.bundle import bundle_fault, bundle_name, write_bundle
from eportal_core.patchsets.description import META_SUFFIX, describes
from eportal_core.patchsets.manifest import Manifest, Target, decode
from eportal_core.patchsets.spec import SAFE_SEGMENT, PatchsetSpec
from eportal_core.storage import Entry, Storage, sync_folder, sync_tree

_CHUNK = 1 << 20


@dataclass(frozen=True)
class PatchsetStore:
    """The part of a portal's storage that belongs to one patchset product.

    on_request: files that are not here come when agents ask for them.
    """

    spec: PatchsetSpec
    storage: Storage
    on_request: bool = False

    @property
    def tree(self) -> Path:
        return self.storage.patches_dir / self.spec.tree

    def meta(self, name: str) -> Path:
        return self.storage.archives / f"{name}{META_SUFFIX}"

    def file(self, target: str, level: int, name: str) -> Path | None:
        """A published file, or None when the request names no such thing."""
        if not self.is_file_name(target, name):
            return None
        path = self.tree / target / str(level) / name
        return path if path.is_file() else None

    def is_file_name(self, target: str, name: str) -> bool:
        """Whether there can be a file ``name`` for ``target``."""
        return self.spec.is_target(target) and bool(SAFE_SEGMENT.fullmatch(name))

    def bundle(self, target: str, level: int) -> Path:
        """All of a level in one file, which userspace products have."""
        return self.tree / target / bundle_name(level)

    def manifest(self, patchset: Patchset) -> Manifest:
        """What was published as ``patchset``.

        Raises:
            ArchiveError, OSError: the stored manifest cannot be used.
        """
        return decode(self.meta(patchset.name).read_bytes())

    def is_described(self, patchset: Patchset) -> bool:
        """Whether the stored manifest is there and says what was published."""
        try:
            return describes(self.manifest(patchset), patchset)
        except (ArchiveError, OSError):
            return False

    def publish(self, workspace: Path, content: Path, archive: Path, manifest: Manifest) -> None:
        """Rename what was unpacked in ``content``, and the archive's copy, into place, durably.

        Raises:
            ArchiveError: a level is published already with other bytes.
            StorageError: there is a link where the folder of a target should be.
        """
        fresh = [
            (target, entry)
            for target, entry in manifest.targets.items()
            if not self._is_published(target, entry)
        ]
        for target, _ in fresh:
            # What is put behind it would be a fault again: see _level_faults.
            if (folder := self.tree / target).is_symlink():
                raise StorageError(f"{folder} is a link, and no folder of a target: remove it.")
        if self.spec.userspace:
            for target, entry in fresh:
                level = content / target / str(entry.level)
                write_bundle(level.with_name(bundle_name(entry.level)), target, level)
            sync_tree(content)
        meta = workspace / "meta.json"
        meta.write_bytes(manifest.encode())
        self.storage.journal(workspace, self.entries(manifest, archive.name))
        archive.rename(self.storage.archives / archive.name)
        meta.rename(self.meta(manifest.name))
        for target, entry in fresh:
            for place in self._places(target, entry.level):
                self.storage.place(content / target / place.name, place)
        sync_folder(self.storage.archives)
        sync_tree(self.tree)

    def describe(self, workspace: Path, manifest: Manifest) -> None:
        """Put the manifest of a patchset in place, durably, and no files.

        Raises:
            ArchiveError: a level is published already with other bytes.
        """
        for target, entry in manifest.targets.items():
            self._refuse_other(target, entry)
        meta = workspace / "meta.json"
        meta.write_bytes(manifest.encode())
        sync_tree(workspace)
        patchset = Patchset.key(self.spec.product.name, manifest.name)
        place = self.meta(manifest.name)
        self.storage.journal(workspace, [Entry(patchset, [f"arch/{place.name}"])])
        meta.rename(place)
        sync_folder(self.storage.archives)

    def entries(self, manifest: Manifest, archive: str) -> list[Entry]:
        """Everything that belongs to a patchset, for the journal; ``archive`` may be empty."""
        patchset = Patchset.key(self.spec.product.name, manifest.name)
        # A crash may have left one of which the database knows nothing yet.
        found = [path.name for path in self.storage.archives.glob(f"{manifest.name}.tar.*")]
        archives = [archive] if archive else found
        own = [f"arch/{name}" for name in (*archives, self.meta(manifest.name).name)]
        return [
            Entry(patchset, own),
            *(
                Entry(patchset, self._paths(target, entry.level), target, entry.level)
                for target, entry in manifest.targets.items()
            ),
        ]

    def faults(self, patchset: Patchset) -> Iterator[str]:
        """Re-hash everything ``patchset`` published; one sentence for each thing that is wrong."""
        archive = self.storage.archives / patchset.archive
        if not patchset.archive:
            if not self.on_request:
                yield "its files are not here, download-missing fetches them"
        elif not os.path.lexists(archive):
            yield f"{patchset.archive} is missing from {archive.parent}"
        elif fault := file_fault(archive, patchset.sha256):
            yield f"{archive} {fault}"
        try:
            manifest = self.manifest(patchset)
        except (ArchiveError, OSError) as error:
            yield f"the manifest of {patchset.name} cannot be used: {error}"
            return
        rows = list(Level.select().where(Level.patchset == patchset))
        for target in sorted(manifest.targets.keys() - {row.target for row in rows}):
            yield f"the manifest of {patchset.name} was changed for {target}"
        for row in rows:
            entry = manifest.targets.get(row.target)
            if entry is None or entry.level != row.level or entry.digest() != row.digest:
                yield f"the manifest of {patchset.name} was changed for {row.target}"
                continue
            yield from self._level_faults(row.target, entry, all_here=bool(patchset.archive))

    def _level_faults(self, target: str, entry: Target, *, all_here: bool = True) -> Iterator[str]:
        folder = self.tree / target / str(entry.level)
        for place in (folder.parent, folder):
            if place.is_symlink():
                # What a link leads to was not published.
                yield f"{place} is no folder"
                return
        present = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        for name in sorted(present - entry.files.keys()):
            yield f"{folder / name} does not belong there"
        for name, file in entry.files.items():
            if name not in present:
                if all_here:
                    yield f"{folder / name} is missing"
            elif fault := file_fault(folder / name, file.sha256):
                yield f"{folder / name} {fault}"
        if self.spec.userspace:
            bundle = self.bundle(target, entry.level)
            is_due = all_here or os.path.lexists(bundle)
            if is_due and (fault := bundle_fault(bundle, target, entry)):
                yield f"{bundle} {fault}"

    def _places(self, target: str, level: int) -> list[Path]:
        """What is published of a level."""
        folder = self.tree / target / str(level)
        return [folder, self.bundle(target, level)] if self.spec.userspace else [folder]

    def _paths(self, target: str, level: int) -> list[str]:
        """The same for the journal, relative to the patches directory."""
        root = self.storage.patches_dir
        return [str(place.relative_to(root)) for place in self._places(target, level)]

    def _is_published(self, target: str, entry: Target) -> bool:
        """Whether the very same level is in place, undamaged, from this or another patchset."""
        known = self._refuse_other(target, entry)
        return known and not any(self._level_faults(target, entry))

    def _refuse_other(self, target: str, entry: Target) -> bool:
        """Whether the level is known; what is published does not change.

        Raises:
            ArchiveError: it is known with other bytes.
        """
        row = (
            Level.select(Level.digest, Level.patchset)
            .where(
                Level.target == target,
                Level.level == entry.level,
                of_product(Level.patchset, self.spec.product.name),
            )
            .first()
        )
        if row is not None and row.digest != entry.digest():
            raise ArchiveError(
                f"Level {entry.level} of {target} is published already with other bytes, "
                f"by {row.patchset_id.partition('/')[2]}."
            )
        return row is not None


def copy_hashed(source: Path, copy: Path) -> str:
    """Copy a file durably and return the sha256 of what was copied, in hex."""
    digest = hashlib.sha256()
    with source.open("rb") as reader, copy.open("wb") as writer:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return digest.hexdigest()


def file_fault(path: Path, sha256: str) -> str:
    """What is wrong with a file that was published with this hash; empty when nothing is."""
    # What a link leads to was not published.
    if path.is_symlink() or not path.is_file():
        return "is no regular file"
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if found == sha256 else "has changed since it was deployed"
