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
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from eportal_core.patchsets.description import META_SUFFIX
from eportal_core.patchsets.manifest import Target, decode
from eportal_core.source.layout import TARGETS, Offer, file_path
from eportal_core.storage import is_folder, sync_folder, sync_tree, write_file

STAGING = "staging"
_JOURNAL = "journal.json"
_STORED = re.compile(rf"[0-9a-f]{{64}}\.(.+)(?:\.tar\.[a-z0-9]+|{re.escape(META_SUFFIX)})")


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

    def stored(self, product: str) -> dict[str, list[Path]]:
        """The archives and manifests that are here, by the name of the patchset."""
        found: dict[str, list[Path]] = {}
        folder = self.targets / product
        for path in folder.iterdir() if folder.is_dir() else ():
            if match := _STORED.fullmatch(path.name):
                found.setdefault(match[1], []).append(path)
        return found

    def archives(self, product: str) -> dict[str, set[str]]:
        """The hashes of the archives that are here, by the name of the patchset."""
        stored = self.stored(product)
        return {name: hashes for name, files in stored.items() if (hashes := set(_hashes(files)))}

    def level(self, product: str, target: str, level: int) -> Path:
        return self.targets / file_path(product, target, level, "")

    def forget(self, going: Collection[tuple[str, str]]) -> None:
        """Have the next sweep remove what belongs to these patchsets alone, unless listed then.

        going: product and name of each.

        Raises:
            ArchiveError: a manifest of these products is damaged.
        """
        entries = []
        for product in sorted({product for product, _ in going}):
            stored = self.stored(product)
            levels = {name: _levels(files) for name, files in stored.items()}
            names = {name for name in stored if (product, name) in going}
            shared = set().union(*(levels[name] for name in stored.keys() - names))
            for name in sorted(names):
                own = [str(path.relative_to(self.targets)) for path in stored[name]]
                sha256 = next(_hashes(stored[name]), "")
                entries.append(Entry(product, name, sha256, own + sorted(levels[name] - shared)))
        if entries:
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


def _hashes(files: Iterable[Path]) -> Iterator[str]:
    """Those of the archives among files of a patchset."""
    return (path.name.partition(".")[0] for path in files if not path.name.endswith(META_SUFFIX))


def _levels(files: Iterable[Path]) -> set[str]:
    """The levels that the manifests among files of a patchset list, below ``targets/``."""
    return {
        file_path(manifest.product, target, entry.level, "").rstrip("/")
        for path in files
        if path.name.endswith(META_SUFFIX)
        for manifest in [decode(path.read_bytes())]
        for target, entry in manifest.targets.items()
    }
