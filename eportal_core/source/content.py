"""The archives, manifests and patch files of a source, and how none of them is left behind.

What is new is made in ``staging/`` and renamed into place before the list that names it is signed.
A journal says beforehand what is about to come, or to go: whatever it names and no list knows is
removed, as in ``eportal_core.storage``.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from eportal_core.patchsets.manifest import Manifest, Target, decode
from eportal_core.source.layout import TARGETS, Offer, file_path, stored_path
from eportal_core.storage import is_folder, sync_folder, sync_tree, write_file

STAGING = "staging"
_JOURNAL = "journal.json"
_ARCHIVE = re.compile(r"([0-9a-f]{64})\.(.+)\.tar\.[a-z0-9]+")


class Entry(msgspec.Struct, frozen=True):
    """Paths below ``targets/`` that stay if the archive of this hash is listed under this name."""

    product: str
    name: str
    sha256: str
    paths: list[str]


@dataclass(frozen=True)
class Content:
    """The files of the source in ``folder`` that are no metadata."""

    folder: Path

    @property
    def targets(self) -> Path:
        return self.folder / TARGETS

    def workspace(self) -> Path:
        """A fresh empty folder on the disk of the source; ``sweep`` removes it."""
        staging = self.folder / STAGING
        staging.mkdir(mode=0o700, exist_ok=True)
        workspace = staging / uuid.uuid4().hex
        workspace.mkdir()
        return workspace

    def journal(self, workspace: Path, entries: Sequence[Entry]) -> None:
        """Name, durably, what is about to come or to go."""
        write_file(workspace / _JOURNAL, msgspec.json.encode(entries))
        sync_folder(workspace.parent)

    def archives(self, product: str) -> dict[str, set[str]]:
        """The hashes of the archives that are here, by the name of the patchset."""
        found: dict[str, set[str]] = {}
        folder = self.targets / product
        for path in folder.iterdir() if folder.is_dir() else ():
            if match := _ARCHIVE.fullmatch(path.name):
                found.setdefault(match[2], set()).add(match[1])
        return found

    def level(self, product: str, target: str, level: int) -> Path:
        return self.targets / file_path(product, target, level, "")

    def manifest(self, offer: Offer) -> Manifest:
        """Raises: ArchiveError, OSError: it cannot be used."""
        return decode((self.targets / stored_path(offer.meta, offer.meta_sha256)).read_bytes())

    def forget(self, offers: Sequence[Offer]) -> None:
        """Have the next sweep remove the files of ``offers`` alone, if they are not listed then."""
        if not offers:
            return
        going = {(offer.product, offer.name) for offer in offers}
        shared = {
            level
            for product in {offer.product for offer in offers}
            for path in (self.targets / product).glob("*.meta.json")
            for manifest in [decode(path.read_bytes())]
            if (product, manifest.name) not in going
            for level in _levels(manifest)
        }
        entries = [
            Entry(
                offer.product,
                offer.name,
                offer.sha256,
                [
                    stored_path(offer.archive, offer.sha256),
                    stored_path(offer.meta, offer.meta_sha256),
                    *sorted(_levels(self.manifest(offer)) - shared),
                ],
            )
            for offer in offers
        ]
        self.journal(self.workspace(), entries)

    def sweep(self, listed: Callable[[], Iterable[Offer]]) -> None:
        """Clear ``staging/``, and remove what its journals name and ``listed`` does not know."""
        staging = self.folder / STAGING
        if not staging.is_dir():
            return
        for workspace in staging.iterdir():
            journal = workspace / _JOURNAL
            if journal.is_file():
                self._sweep(msgspec.json.decode(journal.read_bytes(), type=list[Entry]), listed())
            shutil.rmtree(workspace)
        staging.rmdir()

    def _sweep(self, entries: Iterable[Entry], listed: Iterable[Offer]) -> None:
        known = {(offer.product, offer.name, offer.sha256) for offer in listed}
        unknown = [each for each in entries if (each.product, each.name, each.sha256) not in known]
        for path in (self.targets / path for each in unknown for path in each.paths):
            if is_folder(path):
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        if unknown:
            sync_tree(self.targets)


def holds(folder: Path, entry: Target) -> bool:
    """Whether ``folder`` is the level of ``entry``: its files, byte for byte, and nothing else."""
    if {path.name for path in folder.iterdir()} != entry.files.keys():
        return False
    for name, file in entry.files.items():
        with (folder / name).open("rb") as reader:
            if hashlib.file_digest(reader, "sha256").hexdigest() != file.sha256:
                return False
    return True


def make_folder(path: Path) -> None:
    """Make ``path`` and what is missing above it, for everybody to read whatever the umask."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir()
        path.chmod(0o755)


def _levels(manifest: Manifest) -> set[str]:
    return {
        file_path(manifest.product, target, entry.level, "").rstrip("/")
        for target, entry in manifest.targets.items()
    }
