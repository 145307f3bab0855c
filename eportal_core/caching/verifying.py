"""Whether patch files that came when they were asked for are still what their manifest says."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path

from eportal_core.caching.copies import CachedLevel, Copies
from eportal_core.patchsets.bundle import BUNDLE_NAME, bundle_fault
from eportal_core.patchsets.manifest import Manifest, Target
from eportal_core.patchsets.store import file_fault

_ADVICE = "remove it, and it is fetched again when an agent asks for it"


def copy_faults(data_dir: Path, manifest: Manifest) -> Iterator[str]:
    """Re-hash the copies of the files of a patchset; one sentence for each that is wrong."""
    folder = Copies(data_dir / "cache").folder / manifest.product
    for target, entry in manifest.targets.items():
        level = CachedLevel(manifest.product, target, entry.level, entry.digest())
        for path in sorted(folder.glob(f"{glob.escape(str(level))}*/*")):
            if fault := _fault(path, target, entry, is_bundle=path.parent.name != str(level)):
                yield f"{path} {fault}; {_ADVICE}"


def _fault(path: Path, target: str, entry: Target, *, is_bundle: bool) -> str:
    if is_bundle and path.name == BUNDLE_NAME:
        return bundle_fault(path, target, entry)
    if is_bundle or path.name not in entry.files:
        return "does not belong there"
    return file_fault(path, entry.files[path.name].sha256)
