"""Making a patchset archive of a folder, so that anyone may ship patches of their own."""

from __future__ import annotations

import hashlib
import secrets
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import msgspec

from eportal_core.errors import ArchiveError, Conflict, InvalidValue
from eportal_core.patchsets.archive import LATEST, parse_level, patchset_name
from eportal_core.patchsets.elf import is_elf, read_build_id
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
    name: str = ""
    files: dict[str, File] = {}


@dataclass(frozen=True)
class Source:
    """The folder of a target; ``elf`` is the file that the patches are for, if it lies there."""

    target: str
    folder: Path
    elf: Path | None = None


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

    A userspace product's folder may hold, beside the level, the ELF file that is patched: then it
    may have any name, for the target is that file's build-id.

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
        sources = _sources(directory, spec)
        stated = list(distros) or draft.distros
        # What all of it is for, each target is for.
        only = stated[0] if len(stated) == 1 else ""
        targets = {
            target: _describe(source, draft.targets.get(target, TargetDraft()), only)
            for target, source in sorted(sources.items())
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
            distros=stated or sorted(found),
            changelog=changelog or draft.changelog,
        )
        # Refuses here what unpack would refuse there.
        decode(manifest.encode())
        _write(manifest, sources, output, progress)
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


def _sources(directory: Path, spec: PatchsetSpec) -> dict[str, Source]:
    """The targets' folders by target; anything else but a manifest is refused."""
    found: dict[str, Source] = {}
    for path in sorted(directory.iterdir()):
        if path.name == MANIFEST_NAME and _is_file(path):
            continue
        source = _source(path, spec)
        if source is None or not spec.is_target(source.target):
            raise ArchiveError(
                f"{path} is not the folder of a target of {spec.product.title}, "
                f"such as <target>/<level>/<file>."
            )
        if source.target in found:
            raise ArchiveError(
                f"{path} and {found[source.target].folder} are both for {source.target}."
            )
        found[source.target] = source
    if not found:
        raise ArchiveError(f"{directory} holds no targets.")
    return found


def _source(path: Path, spec: PatchsetSpec) -> Source | None:
    """What the folder ``path`` is for; None when it is no folder."""
    if not is_folder(path):
        return None
    elves = [each for each in path.iterdir() if spec.userspace and _is_file(each) and is_elf(each)]
    if not elves:
        return Source(path.name, path)
    if len(elves) > 1:
        raise ArchiveError(f"{path} has {len(elves)} ELF files; patches are for one.")
    build_id = read_build_id(elves[0])
    if not spec.is_target(build_id):
        raise ArchiveError(
            f"{elves[0]} has the build-id {build_id!r}, which is not a target of "
            f"{spec.product.title}."
        )
    if spec.is_target(path.name) and path.name != build_id:
        raise ArchiveError(f"{elves[0]} has the build-id {build_id}, unlike its folder.")
    return Source(build_id, path, elves[0])


def _describe(source: Source, draft: TargetDraft, distro: str) -> Target:
    """The one level in a target's folder, and its files; ``distro`` unless they name another."""
    folder = source.folder
    levels = [path for path in folder.iterdir() if not _is_latest(path) and path != source.elf]
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
    return Target(
        level,
        files,
        draft.distro or info.distro or distro,
        draft.uname or info.uname,
        draft.name or (source.elf.name if source.elf else ""),
    )


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


def _write(
    manifest: Manifest,
    sources: Mapping[str, Source],
    output: Path,
    progress: Progress | None,
) -> None:
    """Write the archive aside, and rename it to ``output`` when it is on the disk."""
    compression = next(known for known in COMPRESSIONS if output.name.endswith(known.suffix))
    # Nobody else, in a folder such as /tmp, can have made a link of this name.
    aside = output.with_name(f".{output.name}.{secrets.token_hex(8)}.part")
    with (
        written_aside(output, aside) as file,
        closing(compression.writer(file)) as archive,
    ):
        _write_tar(archive, manifest, sources, progress)


def _write_tar(
    archive: Writer,
    manifest: Manifest,
    sources: Mapping[str, Source],
    progress: Progress | None,
) -> None:
    text = manifest.encode()
    archive.write(_header(MANIFEST_NAME, len(text)) + text + _padding(len(text)))
    done, total = 0, manifest.size
    for target_name, target in manifest.targets.items():
        for file_name, described in target.files.items():
            source = sources[target_name].folder / str(target.level) / file_name
            name = f"{target_name}/{target.level}/{file_name}"
            archive.write(_header(name, described.size))
            digest = hashlib.sha256()
            with source.open("rb") as file:
                while chunk := file.read(CHUNK):
                    digest.update(chunk)
                    archive.write(chunk)
                    done += len(chunk)
                    if progress:
                        progress(done, total)
            if digest.hexdigest() != described.sha256:
                raise ArchiveError(f"{source} changed while it was packed.")
            archive.write(_padding(described.size))
    archive.write(bytes(2 * BLOCK))


def _header(name: str, size: int) -> bytes:
    """A tar header with no owner and no time, so that equal files give equal archives."""
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % BLOCK)
