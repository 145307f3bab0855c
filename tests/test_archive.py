"""Unpacking archives that are in order, whoever made them."""

from __future__ import annotations

import os
import random
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from eportal_core.errors import ArchiveError
from eportal_core.patchsets.archive import Limits, patchset_name
from eportal_core.patchsets.manifest import File
from tests.support.archives import (
    COMPRESS,
    DB,
    FILES,
    NAME,
    READERS,
    WEB,
    contents,
    entry,
    manifest,
    manifest_entry,
    members,
    store,
    tar,
    unpack_into,
    use_reader,
)

GOOD = tar(manifest_entry(), members())


@pytest.fixture(params=READERS)
def suffix(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every compression; bzip2 by the program, and by the library as if there were no program."""
    return use_reader(request.param, monkeypatch)


def test_every_compression_and_a_manifest(tmp_path: Path, suffix: str) -> None:
    made = unpack_into(tmp_path, store(tmp_path, GOOD, suffix=suffix))
    assert contents(tmp_path / "staging") == FILES
    assert made.name == NAME
    assert made.targets[DB].level == 12
    stated = manifest()["targets"][WEB]["files"]["kpatch.bin"]
    assert made.targets[WEB].files["kpatch.bin"] == File(stated["sha256"], stated["size"])


def test_several_streams_in_one_file(tmp_path: Path, suffix: str) -> None:
    archive = store(tmp_path, b"", suffix=suffix)
    halves = GOOD[:3000], GOOD[3000:]
    archive.write_bytes(b"".join(COMPRESS[suffix](half) for half in halves))
    unpack_into(tmp_path, archive)
    assert contents(tmp_path / "staging") == FILES


def test_files_larger_than_any_buffer(tmp_path: Path, suffix: str) -> None:
    rng = random.Random(1)
    files = {f"{WEB}/7/{size}": rng.randbytes(size) for size in (0, 511, 512, 513, 300_000)}
    files[f"{WEB}/7/zeros"] = bytes(5_000_000)
    files[f"{WEB}/7/zeros-and-more"] = bytes(5_000_000) + rng.randbytes(1000)
    unpack_into(tmp_path, store(tmp_path, tar(members(files)), suffix=suffix))
    assert contents(tmp_path / "staging") == files


def test_the_content_decides_how_a_file_is_compressed(tmp_path: Path) -> None:
    archive = store(tmp_path, GOOD, suffix=".gz").rename(tmp_path / f"{NAME}.tar.bz2")
    unpack_into(tmp_path, archive)
    assert contents(tmp_path / "staging") == FILES


def test_a_manifest_may_be_anywhere(tmp_path: Path) -> None:
    made = unpack_into(tmp_path, store(tmp_path, tar(members(), manifest_entry(changelog="fixes"))))
    assert made.changelog == "fixes"


def test_the_public_layout_without_a_manifest(tmp_path: Path) -> None:
    """As public libcare bundles look: ``./`` before names, folders, ``latest`` links."""
    archive = store(
        tmp_path,
        tar(
            entry("./", kind=tarfile.DIRTYPE),
            entry(f"./{WEB}/", kind=tarfile.DIRTYPE),
            entry(f"./{WEB}/7/", kind=tarfile.DIRTYPE),
            entry(f"./{WEB}/latest", kind=tarfile.SYMTYPE, link="7"),
            entry(f"./{DB}/latest", kind=tarfile.SYMTYPE, link="12"),
            members({f"./{name}": content for name, content in FILES.items()}),
        ),
    )
    made = unpack_into(tmp_path, archive)
    assert contents(tmp_path / "staging") == FILES
    assert (made.product, made.name, made.distros) == ("kernel", NAME, ["debian12"])
    assert (made.targets[WEB].level, made.targets[DB].level) == (7, 12)
    assert (made.targets[WEB].distro, made.targets[WEB].uname) == ("debian12", "6.1.0-7")
    assert made.targets[DB].distro == ""
    sizes = {name: file.size for name, file in made.targets[WEB].files.items()}
    assert sizes == {"kpatch.bin": 650, "kpatch.info": 44}


@pytest.mark.parametrize("style", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_in_every_style(tmp_path: Path, style: Literal[0, 1, 2]) -> None:
    length = 90 if style == tarfile.USTAR_FORMAT else 200
    files = {f"{WEB}/9999999999/{'x' * length}": b"content", **FILES}
    files = {name: content for name, content in files.items() if "/7/" not in name}
    unpack_into(tmp_path, store(tmp_path, tar(members(files, style=style))))
    assert contents(tmp_path / "staging") == files


def test_pax_records_that_do_not_matter(tmp_path: Path) -> None:
    archive = store(
        tmp_path,
        tar(
            tarfile.TarInfo.create_pax_global_header({"comment": "made by git archive"}),
            members(pax={"mtime": "1764000000.123", "SCHILY.xattr.user.x": "y" * 5000}),
        ),
    )
    unpack_into(tmp_path, archive)
    assert contents(tmp_path / "staging") == FILES


def test_what_system_tools_make(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name, content in FILES.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    archive = tmp_path / f"{NAME}.tar.bz2"
    with tarfile.open(archive, "w:bz2") as file:
        file.add(source, ".")
    unpack_into(tmp_path, archive)
    assert contents(tmp_path / "staging") == FILES


def test_modes_depend_on_neither_archive_nor_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        unpack_into(tmp_path, store(tmp_path, GOOD))
    finally:
        os.umask(before)
    paths = list((tmp_path / "staging").rglob("*"))
    modes = {path.is_dir(): stat.S_IMODE(path.stat().st_mode) for path in paths}
    assert modes == {True: 0o755, False: 0o644}


def test_a_small_archive_may_compress_well(tmp_path: Path) -> None:
    files = {f"{WEB}/7/zeros": bytes(8_000_000)}
    unpack_into(tmp_path, store(tmp_path, tar(members(files))), Limits(10, 10**9, ratio=2))
    assert contents(tmp_path / "staging") == files


def test_progress_ends_with_the_whole_archive(tmp_path: Path, suffix: str) -> None:
    files = {f"{WEB}/7/data": random.Random(2).randbytes(400_000) + bytes(3_000_000)}
    archive = store(tmp_path, tar(members(files)), suffix=suffix)
    told: list[tuple[int, int]] = []
    unpack_into(tmp_path, archive, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (archive.stat().st_size, archive.stat().st_size)


def test_lbzip2_takes_no_options_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LBZIP2", "--test")
    unpack_into(tmp_path, store(tmp_path, GOOD, suffix=".bz2"))
    assert contents(tmp_path / "staging") == FILES


@pytest.mark.parametrize(
    "stop",
    [
        pytest.param(lambda: KeyboardInterrupt(), id="interrupted"),
        pytest.param(lambda: RuntimeError("ours"), id="failed"),
    ],
)
def test_no_process_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: Callable[[], BaseException]
) -> None:
    """A program that never ends stands in for lbzip2; we stop after its first bytes."""
    fake = tmp_path / "bin" / "lbzip2"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho leaked >&2\necho some bytes\nexec /bin/cat /dev/zero\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent))
    started: list[subprocess.Popen[bytes]] = []

    class Remembered(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **options: Any) -> None:
            started.append(self)
            super().__init__(*args, **options)

    monkeypatch.setattr(subprocess, "Popen", Remembered)

    def progress(done: int, total: int) -> None:
        raise stop()

    with pytest.raises(type(stop())):
        unpack_into(tmp_path, store(tmp_path, GOOD, suffix=".bz2"), progress=progress)
    assert [process.returncode for process in started] == [-9]


def test_names_of_archives() -> None:
    for suffix in COMPRESS:
        assert patchset_name(Path(f"/some/where/{NAME}.tar{suffix}")) == NAME
    for other in (f"{NAME}.tar", f"{NAME}.zip", f"{NAME}.tar.bz2.gpg", NAME, ".tar.bz2x"):
        with pytest.raises(ArchiveError, match="not named like"):
            patchset_name(Path(other))
