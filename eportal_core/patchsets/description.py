"""A patchset by its manifest alone: read from anyone, and compared with what is known here."""

from __future__ import annotations

from pathlib import Path

from eportal_core import db
from eportal_core.errors import ArchiveError
from eportal_core.models import Level, Patchset
from eportal_core.patchsets.archive import LATEST, Limits
from eportal_core.patchsets.manifest import MANIFEST_MAX_BYTES, Manifest, decode
from eportal_core.patchsets.spec import SAFE_SEGMENT, PatchsetSpec
from eportal_core.patchsets.tar import shown

#: How the file of a manifest is named behind the patchset's name.
META_SUFFIX = ".meta.json"


def read_description(path: Path, name: str, spec: PatchsetSpec, limits: Limits) -> Manifest:
    """The manifest in ``path``, if it can be that of the patchset ``name``.

    Raises:
        ArchiveError: it is refused, for what would be refused in an archive too.
    """
    try:
        if path.stat().st_size > MANIFEST_MAX_BYTES:
            raise ArchiveError(f"it has {path.stat().st_size} bytes.")
        manifest = decode(path.read_bytes())
        if (manifest.product, manifest.name) != (spec.product.name, name):
            raise ArchiveError(
                f"it is of the patchset {shown(manifest.name)} of {shown(manifest.product)}."
            )
        _check_content(manifest, spec, limits)
    except ArchiveError as error:
        raise ArchiveError(f"{path.name} is refused: {error}") from None
    return manifest


def describes(manifest: Manifest, patchset: Patchset) -> bool:
    """Whether the levels of ``manifest`` are those that were published as ``patchset``."""
    rows = Level.select(Level.target, Level.level, Level.digest)
    published = set(db.rows(rows.where(Level.patchset == patchset)))
    return published == {
        (target, entry.level, entry.digest()) for target, entry in manifest.targets.items()
    }


def _check_content(manifest: Manifest, spec: PatchsetSpec, limits: Limits) -> None:
    if not manifest.targets:
        raise ArchiveError("it lists no files.")
    if sum(len(entry.files) for entry in manifest.targets.values()) > limits.files:
        raise ArchiveError(f"it lists more than {limits.files} files (ARCHIVE_MAX_FILES).")
    if manifest.size > limits.bytes:
        raise ArchiveError(
            f"its files have {manifest.size} bytes, {limits.bytes} are allowed (ARCHIVE_MAX_BYTES)."
        )
    for target, entry in manifest.targets.items():
        if not spec.is_target(target):
            raise ArchiveError(f"{shown(target)} is not a target of {spec.product.title}.")
        if not entry.files:
            raise ArchiveError(f"it lists no files for {target}.")
        for name in entry.files:
            if not SAFE_SEGMENT.fullmatch(name) or name == LATEST:
                raise ArchiveError(f"{shown(name)} is a file name that is not allowed.")
