"""Making a patchset archive of a folder, so that anyone may ship patches of their own."""

from __future__ import annotations

import hashlib
import secrets
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path

import msgspec

from eportal_core.errors import ArchiveError, Conflict, InvalidValue
from eportal_core.patchsets.archive import LATEST, parse_level, patchset_name
from eportal_core.patchsets.info import read_info
from eportal_core.patchsets.manifest import FORMAT, MANIFEST_NAME, File, Manifest, Target, decode
from eportal_core.patchsets.spec import SAFE_SEGMENT, PatchsetSpec
from eportal_core.patchsets.streams import CHUNK, COMPRESSIONS, Progress, Writer
from eportal_core.patchsets.tar import BLOCK, shown
from eportal_core.storage import disk_errors, is_folder, written_aside


class TargetDraft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a folder's own ``patchset.json`` may say of a target; files are described afresh."""

    level: int | None = None
    distro: str = ""
    uname: str = ""
    files: dict[str, File] = {}


class Draft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A folder's own ``patchset.json``: any part of a manifest, or all of an older one."""

    format: int = FORMAT
    product: str = ""
    name: str = ""
    targets: dict[str, TargetDraft] = {}
    released: str = ""
    channels: list[str] = []
    distros: list[str] = []
    changelog: str = ""


def pack(
    directory: Path,
    output: Path,
    spec: PatchsetSpec,
    *,
    released: str = "",
    distros: Sequence[str] = (),
    channels: Sequence[str] = (),
    changelog: str = "",
    progress: Progress | None = None,
) -> Manifest:
    """Write ``directory``, which holds ``<target>/<level>/<file>``, as the archive ``output``.

    Equal folders give equal bytes. Arguments win over the folder's own ``patchset.json``, and that
    over what each level's ``kpatch.info`` says. ``progress`` is told (bytes packed, bytes of all
    files).

    Raises:
        ArchiveError: names, layout or ``patchset.json`` are not those of a patchset.
        Conflict: ``output`` exists.
        InvalidValue: ``directory`` does not, or ``released`` is no date.
        StorageError: the disk is full, or fails.
    """
    name = spec.check_name(patchset_name(output))
    if output.exists():
        raise Conflict(f"{output} exists already.")
    if not directory.is_dir():
        raise InvalidValue(f"{directory} is not a folder.")
    if released and not _is_date(released):
        raise InvalidValue(f"{shown(released)} is not a date such as 2025-11-19.")
    with disk_errors():
        draft = _read_draft(directory / MANIFEST_NAME, spec, name)
        targets = {
            folder.name: _describe(folder, draft.targets.get(folder.name, TargetDraft()))
            for folder in _target_folders(directory, spec)
        }
        if absent := draft.targets.keys() - targets.keys():
            raise ArchiveError(
                f"{directory / MANIFEST_NAME} names the target {min(absent)!r}, which is not there."
            )
        found = {target.distro for target in targets.values()} - {""}
        manifest = Manifest(
            format=FORMAT,
            product=spec.product.name,
            name=name,
            targets=targets,
            released=released or draft.released,
            channels=list(channels) or draft.channels or ["default"],
            distros=list(distros) or draft.distros or sorted(found),
            changelog=changelog or draft.changelog,
        )
        # Refuses here what unpack would refuse there.
        decode(manifest.encode())
        _write(manifest, directory, output, progress)
    return manifest


def _read_draft(path: Path, spec: PatchsetSpec, name: str) -> Draft:
    if not _is_file(path):
        return Draft()
    try:
        draft = msgspec.json.decode(path.read_bytes(), type=Draft)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ArchiveError(f"{path} cannot be used: {error}.") from None
    expected = Draft(product=spec.product.name, name=name)
    for field in ("format", "product", "name"):
        stated = getattr(draft, field)
        if stated and stated != getattr(expected, field):
            raise ArchiveError(
                f"{path} has the {field} {stated!r}, not {getattr(expected, field)!r}."
            )
    return draft


def _target_folders(directory: Path, spec: PatchsetSpec) -> Iterator[Path]:
    """The targets' folders by name; anything else but a manifest is refused."""
    found = False
    for path in sorted(directory.iterdir()):
        if path.name == MANIFEST_NAME and _is_file(path):
            continue
        if not (spec.is_target(path.name) and is_folder(path)):
            raise ArchiveError(
                f"{path} is not the folder of a target of {spec.product.title}, "
                f"such as <target>/<level>/<file>."
            )
        found = True
        yield path
    if not found:
        raise ArchiveError(f"{directory} holds no targets.")


def _describe(folder: Path, draft: TargetDraft) -> Target:
    """The one level in a target's folder, and its files."""
    levels = [path for path in folder.iterdir() if not _is_latest(path)]
    for path in levels:
        if parse_level(path.name) is None or not is_folder(path):
            raise ArchiveError(f"{path} is not the folder of a level, a plain positive number.")
    if len(levels) != 1:
        raise ArchiveError(f"{folder} has {len(levels)} levels; a patchset has one per target.")
    level = int(levels[0].name)
    if draft.level not in (None, level):
        raise ArchiveError(f"{MANIFEST_NAME} has level {draft.level} for {folder}, not {level}.")
    files = {}
    for path in sorted(levels[0].iterdir()):
        if not SAFE_SEGMENT.fullmatch(path.name) or path.name == LATEST or not _is_file(path):
            raise ArchiveError(f"{path} is not a regular file with a plain name.")
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            files[path.name] = File(sha256, file.tell())
    if not files:
        raise ArchiveError(f"{levels[0]} is empty.")
    info = read_info(levels[0])
    return Target(level, files, draft.distro or info.distro, draft.uname or info.uname)


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _is_latest(path: Path) -> bool:
    """Whether this is the link that the libcare storage layout has beside the levels."""
    return path.name == LATEST and path.is_symlink()


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _write(manifest: Manifest, directory: Path, output: Path, progress: Progress | None) -> None:
    """Write the archive aside, and rename it to ``output`` when it is on the disk."""
    compression = next(known for known in COMPRESSIONS if output.name.endswith(known.suffix))
    # Nobody else, in a folder such as /tmp, can have made a link of this name.
    aside = output.with_name(f".{output.name}.{secrets.token_hex(8)}.part")
    with (
        written_aside(output, aside) as file,
        closing(compression.writer(file)) as archive,
    ):
        _write_tar(archive, manifest, directory, progress)


def _write_tar(
    archive: Writer, manifest: Manifest, directory: Path, progress: Progress | None
) -> None:
    text = manifest.encode()
    archive.write(_header(MANIFEST_NAME, len(text)) + text + _padding(len(text)))
    done, total = 0, manifest.size
    for target_name, target in manifest.targets.items():
        for file_name, described in target.files.items():
            name = f"{target_name}/{target.level}/{file_name}"
            archive.write(_header(name, described.size))
            digest = hashlib.sha256()
            with (directory / name).open("rb") as file:
                while chunk := file.read(CHUNK):
                    digest.update(chunk)
                    archive.write(chunk)
                    done += len(chunk)
                    if progress:
                        progress(done, total)
            if digest.hexdigest() != described.sha256:
                raise ArchiveError(f"{directory / name} changed while it was packed.")
            archive.write(_padding(described.size))
    archive.write(bytes(2 * BLOCK))


def _header(name: str, size: int) -> bytes:
    """A tar header with no owner and no time, so that equal files give equal archives."""
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % BLOCK)
