"""Making archives: what is in them, that equal folders give equal bytes, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import tarfile
from pathlib import Path
from typing import Any

import pytest

from eportal_core.errors import ArchiveError, Conflict, InvalidValue, StorageError
from eportal_core.patchsets.manifest import decode
from eportal_core.patchsets.pack import pack
from tests.support.archives import (
    COMPRESS,
    DB,
    FILES,
    NAME,
    SPEC,
    WEB,
    contents,
    manifest,
    unpack_into,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The patches of FILES, as one would lay them out by hand."""
    source = tmp_path / "source"
    for name, content in FILES.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    return source


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / f"{NAME}.tar.gz"


def draft(folder: Path, **fields: Any) -> None:
    (folder / "patchset.json").write_text(json.dumps(fields))


@pytest.mark.parametrize("suffix", COMPRESS)
def test_what_is_packed_is_unpacked(tmp_path: Path, folder: Path, suffix: str) -> None:
    archive = tmp_path / f"{NAME}.tar{suffix}"
    packed = pack(folder, archive, SPEC)
    assert unpack_into(tmp_path, archive) == packed
    assert contents(tmp_path / "staging") == FILES


def test_any_tar_reads_it_and_the_manifest_is_first(folder: Path, output: Path) -> None:
    made = pack(folder, output, SPEC)
    with tarfile.open(output) as archive:
        members = archive.getmembers()
        first = archive.extractfile(members[0])
        assert first is not None
        assert decode(first.read()) == made
    assert [member.name for member in members] == ["patchset.json", *sorted(FILES)]
    assert {(m.mode, m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {
        (0o644, 0, 0, 0, "", "")
    }


@pytest.mark.parametrize("suffix", COMPRESS)
def test_equal_folders_give_equal_bytes(tmp_path: Path, folder: Path, suffix: str) -> None:
    hashes = set()
    for number in range(2):
        archive = tmp_path / str(number) / f"{NAME}.tar{suffix}"
        archive.parent.mkdir()
        os.utime(folder / f"{WEB}/7/kpatch.bin", (number, number))
        (folder / f"{DB}/12/kpatch.bin").chmod(0o600 + number)
        pack(folder, archive, SPEC)
        hashes.add(hashlib.sha256(archive.read_bytes()).hexdigest())
    assert len(hashes) == 1


def test_what_kpatch_info_tells(folder: Path, output: Path) -> None:
    made = pack(folder, output, SPEC)
    assert (made.targets[WEB].distro, made.targets[WEB].uname) == ("debian12", "6.1.0-7")
    assert made.targets[DB].distro == ""
    assert made.distros == ["debian12"]
    assert made.channels == ["default"]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"OS",
        b":\n:\n",
        b"no header\n\nOS: later\n",
        b"OS:" + b"x" * 9999,
        b"\0" * 9,
    ],
)
def test_a_kpatch_info_that_is_none(folder: Path, output: Path, text: bytes) -> None:
    (folder / f"{WEB}/7/kpatch.info").write_bytes(text)
    assert len(pack(folder, output, SPEC).targets[WEB].distro) <= 1000


def test_the_folder_s_own_manifest_wins_over_kpatch_info(folder: Path, output: Path) -> None:
    draft(
        folder,
        changelog="CVE-2026-1",
        released="2026-11-22",
        channels=["test"],
        targets={WEB: {"uname": "6.1.0-custom"}, DB: {"distro": "rhel9", "level": 12}},
    )
    made = pack(folder, output, SPEC)
    assert (made.changelog, made.released, made.channels) == ("CVE-2026-1", "2026-11-22", ["test"])
    assert made.distros == ["debian12", "rhel9"]
    assert (made.targets[WEB].distro, made.targets[WEB].uname) == ("debian12", "6.1.0-custom")


def test_arguments_win_over_the_folder_s_manifest(folder: Path, output: Path) -> None:
    draft(folder, changelog="old", released="2020-01-01", channels=["test"], distros=["rhel9"])
    made = pack(
        folder,
        output,
        SPEC,
        released="2026-11-22",
        distros=["debian12"],
        channels=["unstable", "default"],
        changelog="new",
    )
    assert (made.changelog, made.released) == ("new", "2026-11-22")
    assert (made.distros, made.channels) == (["debian12"], ["unstable", "default"])


def test_a_single_distribution_is_that_of_targets_which_name_none(
    folder: Path, tmp_path: Path
) -> None:
    def of_targets(name: str, *distros: str) -> tuple[str, str]:
        made = pack(folder, tmp_path / f"{name}.tar.gz", SPEC, distros=distros)
        return made.targets[WEB].distro, made.targets[DB].distro

    assert of_targets("K20260101_01", "rhel9") == ("debian12", "rhel9")
    assert of_targets("K20260101_02", "rhel9", "debian12") == ("debian12", "")
    draft(folder, distros=["rhel8"])
    assert of_targets("K20260101_03") == ("debian12", "rhel8")


def test_an_unpacked_archive_can_be_changed_and_packed_again(folder: Path, output: Path) -> None:
    (folder / "patchset.json").write_text(json.dumps(manifest(changelog="kept")))
    (folder / f"{WEB}/7/kpatch.bin").write_bytes(b"changed")
    made = pack(folder, output, SPEC)
    assert made.changelog == "kept"
    assert made.targets[WEB].files["kpatch.bin"].size == len(b"changed")


def test_latest_links_are_not_packed(folder: Path, output: Path) -> None:
    (folder / WEB / "latest").symlink_to("7")
    pack(folder, output, SPEC)
    with tarfile.open(output) as archive:
        assert archive.getnames() == ["patchset.json", *sorted(FILES)]


def test_progress_ends_with_all_bytes(folder: Path, output: Path) -> None:
    told: list[tuple[int, int]] = []
    made = pack(folder, output, SPEC, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (made.size, made.size)


def spoil(folder: Path, case: str) -> None:
    web = folder / WEB
    match case:
        case "file at the top":
            (folder / "README").write_text("read me")
        case "folder of no target":
            (folder / "docs").mkdir()
        case "target is a link":
            (folder / ("c" * 40)).symlink_to(web)
        case "manifest is a link":
            (folder / "patchset.json").symlink_to(web / "7/kpatch.info")
        case "target is a file":
            (folder / ("c" * 40)).write_text("")
        case "target is empty":
            (folder / ("c" * 40)).mkdir()
        case "two levels":
            (web / "8").mkdir()
        case "level with zero":
            (web / "7").rename(web / "07")
        case "level is a link":
            (web / "8").symlink_to("7")
        case "level is a file":
            (web / "8").write_text("")
        case "latest is a file":
            (web / "latest").write_text("7")
        case "level is empty":
            for path in (web / "7").iterdir():
                path.unlink()
        case "file is a link":
            (web / "7/linked").symlink_to("kpatch.bin")
        case "file is a folder":
            (web / "7/more").mkdir()
        case "file is a pipe":
            os.mkfifo(web / "7/pipe")
        case "file hidden":
            (web / "7/.kpatch.bin.swp").write_text("")
        case "file latest":
            (web / "7/latest").write_text("")


@pytest.mark.parametrize(
    ("case", "fragment"),
    [
        ("file at the top", "README is not the folder of a target"),
        ("folder of no target", "docs is not the folder of a target"),
        ("target is a link", "is not the folder of a target"),
        ("manifest is a link", "patchset.json is not the folder of a target"),
        ("target is a file", "is not the folder of a target"),
        ("target is empty", "has 0 levels"),
        ("two levels", "has 2 levels"),
        ("level with zero", "07 is not the folder of a level"),
        ("level is a link", "8 is not the folder of a level"),
        ("level is a file", "8 is not the folder of a level"),
        ("latest is a file", "latest is not the folder of a level"),
        ("level is empty", "7 is empty"),
        ("file is a link", "linked is not a regular file"),
        ("file is a folder", "more is not a regular file"),
        ("file is a pipe", "pipe is not a regular file"),
        ("file hidden", "swp is not a regular file with a plain name"),
        ("file latest", "latest is not a regular file with a plain name"),
    ],
)
def test_layouts_that_are_refused(folder: Path, output: Path, case: str, fragment: str) -> None:
    spoil(folder, case)
    with pytest.raises(ArchiveError, match=fragment):
        pack(folder, output, SPEC)
    assert not list(output.parent.iterdir())


@pytest.mark.parametrize(
    ("fields", "fragment"),
    [
        ({"product": "user"}, "has the product 'user', not 'kernel'"),
        ({"name": "K20200101_01"}, f"has the name 'K20200101_01', not '{NAME}'"),
        ({"format": 2}, "has the format 2, not 1"),
        ({"surprise": 1}, "cannot be used"),
        ({"changelog": 1}, "cannot be used"),
        ({"channels": ["secret"]}, "cannot be used"),
        ({"distros": ["x" * 1001]}, "cannot be used"),
        ({"targets": {"c" * 40: {}}}, f"names the target '{'c' * 40}', which is not there"),
        ({"targets": {WEB: {"level": 8}}}, "has level 8 for"),
    ],
)
def test_manifests_that_are_refused(
    folder: Path, output: Path, fields: dict[str, Any], fragment: str
) -> None:
    draft(folder, **fields)
    with pytest.raises(ArchiveError, match=fragment):
        pack(folder, output, SPEC)
    assert not list(output.parent.iterdir())


def test_names_that_are_refused(folder: Path, tmp_path: Path) -> None:
    for name in (f"{NAME}.tar", "U20261122_01.tar.bz2", ".tar.bz2", f"{NAME}.zip"):
        with pytest.raises(ArchiveError):
            pack(folder, tmp_path / name, SPEC)


def test_an_archive_is_never_replaced(folder: Path, output: Path) -> None:
    output.write_text("precious")
    with pytest.raises(Conflict, match="exists already"):
        pack(folder, output, SPEC)
    assert output.read_text() == "precious"


@pytest.mark.parametrize("released", ["yesterday", "20251119", "2025-13-01", "2025-11-19T10:00"])
def test_a_date_that_is_none(folder: Path, output: Path, released: str) -> None:
    with pytest.raises(InvalidValue, match="is not a date such as"):
        pack(folder, output, SPEC, released=released)
    assert not output.exists()


def test_a_folder_that_is_not_there(tmp_path: Path, folder: Path, output: Path) -> None:
    with pytest.raises(InvalidValue, match="is not a folder"):
        pack(tmp_path / "nowhere", output, SPEC)
    with pytest.raises(ArchiveError, match="holds no targets"):
        pack(output.parent, output, SPEC)
    with pytest.raises(StorageError, match="No such file"):
        pack(folder, tmp_path / "nowhere" / output.name, SPEC)


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_disk_that_refuses_to_write(folder: Path, output: Path, suffix: str) -> None:
    """A limit of the process stands in for a full disk; nothing of the archive stays."""
    (folder / WEB / "7" / "noise").write_bytes(os.urandom(300_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StorageError, match="File too large"):
            pack(folder, output.with_name(f"{NAME}.tar{suffix}"), SPEC)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(output.parent.iterdir())


def test_files_that_change_meanwhile(folder: Path, output: Path) -> None:
    """Hashed, then packed: what changed in between is noticed."""

    def meddle(done: int, total: int) -> None:
        (folder / f"{DB}/12/kpatch.bin").write_bytes(b"p" * 600)
        (folder / f"{WEB}/7/kpatch.info").write_bytes(b"p")

    with pytest.raises(ArchiveError, match="changed while it was packed"):
        pack(folder, output, SPEC, progress=meddle)
    assert not list(output.parent.iterdir())
