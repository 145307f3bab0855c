"""Archives that nobody honest makes, or that something broke: refused in one sentence each."""

from __future__ import annotations

import bz2
import lzma
import os
import random
import resource
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eportal_core.errors import ArchiveError, StorageError
from eportal_core.patchsets.archive import Limits
from tests.support.archives import (
    DB,
    FILES,
    LIMITS,
    NAME,
    READERS,
    WEB,
    contents,
    entry,
    manifest,
    manifest_entry,
    members,
    rechecked,
    store,
    tar,
    unpack_into,
    use_reader,
)

OTHER = "c" * 40
STATED = manifest()
GOOD = tar(manifest_entry(), members())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Path]:
    """A folder beside which, and beside whose ``staging``, nothing may change."""
    folder = tmp_path / "world"
    folder.mkdir()
    (tmp_path / "outside").write_text("untouched")
    yield folder
    made = contents(tmp_path)
    assert made.pop("outside") == b"untouched"
    assert all(name.startswith("world/") for name in made)
    staged = contents(folder / "staging")
    assert all(name.count("/") == 2 for name in staged)
    assert len(made) - len(staged) <= 1, "the archive and what was unpacked, nothing else"


def refusal(world: Path, archive: Path, limits: Limits = LIMITS) -> str:
    with pytest.raises(ArchiveError) as caught:
        unpack_into(world, archive, limits)
    sentence = str(caught.value)
    assert sentence.startswith(f"{archive.name} is refused: ")
    assert sentence.endswith(".")
    assert sentence.isprintable()
    assert len(sentence) < 500
    return sentence


def patch(name: str, content: bytes = b"x") -> bytes:
    return entry(name, content)


def described(changes: dict[str, Any]) -> bytes:
    return tar(manifest_entry(**changes), members())


def web(**changes: Any) -> dict[str, Any]:
    """The manifest's targets, with ``changes`` in the one of WEB."""
    return {"targets": STATED["targets"] | {WEB: STATED["targets"][WEB] | changes}}


def web_file(**changes: Any) -> dict[str, Any]:
    files = STATED["targets"][WEB]["files"]
    return web(files=files | {"kpatch.bin": files["kpatch.bin"] | changes})


BAD_NAMES = {
    "absolute": ("/etc/passwd", "absolute path"),
    "absolute twice": ("//etc/passwd", "absolute path"),
    "absolute after dot": (".//etc/passwd", "absolute path"),
    "parent": ("../outside", "leads out"),
    "parent inside": (f"{WEB}/../../outside", "leads out"),
    "parent last": (f"{WEB}/7/..", "leads out"),
    "dot": (f"{WEB}/./kpatch.bin", "is not <target>/<level>/<file>"),
    "dot dot slash": (f"././{WEB}/7/x", "is not <target>/<level>/<file>"),
    "empty part": (f"{WEB}//kpatch.bin", "is not <target>/<level>/<file>"),
    "only a target": (WEB, "is not <target>/<level>/<file>"),
    "no file": (f"{WEB}/7", "is not <target>/<level>/<file>"),
    "too deep": (f"{WEB}/7/a/b", "is not <target>/<level>/<file>"),
    "other file": ("README", "is not <target>/<level>/<file>"),
    "manifest elsewhere": (f"{WEB}/patchset.json", "is not <target>/<level>/<file>"),
    "target": ("A" * 40 + "/7/kpatch.bin", "which is not a target of KernelCare"),
    "target short": ("ab/7/kpatch.bin", "which is not a target of KernelCare"),
    "target with newline": (f"{WEB}\n/7/kpatch.bin", "which is not a target"),
    "level zero": (f"{WEB}/0/kpatch.bin", "is not <target>/<level>/<file>"),
    "level with zero": (f"{WEB}/07/kpatch.bin", "is not <target>/<level>/<file>"),
    "level signed": (f"{WEB}/+7/kpatch.bin", "is not <target>/<level>/<file>"),
    "level negative": (f"{WEB}/-7/kpatch.bin", "is not <target>/<level>/<file>"),
    "level spaced": (f"{WEB}/ 7/kpatch.bin", "is not <target>/<level>/<file>"),
    "level with newline": (f"{WEB}/7\n/kpatch.bin", "is not <target>/<level>/<file>"),
    "level in Arabic digits": (f"{WEB}/\u0667/kpatch.bin", "is not <target>/<level>/<file>"),
    "level too large": (f"{WEB}/10000000000/kpatch.bin", "is not <target>/<level>/<file>"),
    "level is a word": (f"{WEB}/latest/kpatch.bin", "is not <target>/<level>/<file>"),
    "file latest": (f"{WEB}/7/latest", "file name that is not allowed"),
    "file hidden": (f"{WEB}/7/.hidden", "file name that is not allowed"),
    "file with blank": (f"{WEB}/7/a b", "file name that is not allowed"),
    "file with backslash": (f"{WEB}/7/a\\b", "file name that is not allowed"),
    "file with newline": (f"{WEB}/7/a\n", "file name that is not allowed"),
    "file not ASCII": (f"{WEB}/7/é", "file name that is not allowed"),
    "file not UTF-8": (f"{WEB}/7/\udcff", "file name that is not allowed"),
    "file name of 201": (f"{WEB}/7/{'x' * 201}", "file name that is not allowed"),
    "file name of 60000": (f"{WEB}/7/{'x' * 60_000}", "file name that is not allowed"),
    "NUL": (f"{WEB}/7/a\0b", "file name that is not allowed"),
}


@pytest.mark.parametrize("case", BAD_NAMES)
def test_names(world: Path, case: str) -> None:
    """Stated by a header where it fits, and by a pax record, which may say anything."""
    name, fragment = BAD_NAMES[case]
    bad = [entry("plain", b"x", pax={"path": name})] if "\udcff" not in name else []
    bad += [patch(name)] if "\0" not in name else []
    for number, member in enumerate(bad):
        folder = world / str(number)
        folder.mkdir()
        archive = store(folder, tar(members(), member))
        assert fragment in refusal(folder, archive)
        shutil.rmtree(folder)


BAD_KINDS = {
    "link to a level": (
        entry(f"{WEB}/latest", kind=tarfile.SYMTYPE, link="8"),
        "leads to level 8, which is not in it",
    ),
    "link for another target": (
        entry(f"{OTHER}/latest", kind=tarfile.SYMTYPE, link="7"),
        "leads to level 7, which is not in it",
    ),
    "link with a path": (
        entry(f"{WEB}/latest", kind=tarfile.SYMTYPE, link="../../outside"),
        "is a link",
    ),
    "link to itself": (entry(f"{WEB}/latest", kind=tarfile.SYMTYPE, link="latest"), "is a link"),
    "link to nothing": (entry(f"{WEB}/latest", kind=tarfile.SYMTYPE), "is a link"),
    "link by a long name": (
        entry(f"{WEB}/latest", kind=tarfile.SYMTYPE, link="7" * 300),
        "is a link",
    ),
    "link as a file": (entry(f"{WEB}/7/f", kind=tarfile.SYMTYPE, link="7"), "is a link"),
    "link as a level": (entry(f"{WEB}/8", kind=tarfile.SYMTYPE, link="7"), "is a link"),
    "link as a target": (entry(OTHER, kind=tarfile.SYMTYPE, link="/etc"), "is a link"),
    "link as the manifest": (
        entry("patchset.json", kind=tarfile.SYMTYPE, link="/etc/passwd"),
        "is a link",
    ),
    "link as everything": (entry("latest", kind=tarfile.SYMTYPE, link="7"), "is a link"),
    "hard link": (
        entry(f"{WEB}/7/f", kind=tarfile.LNKTYPE, link=f"{WEB}/7/kpatch.bin"),
        "is a hard link",
    ),
    "hard link outside": (
        entry(f"{WEB}/7/f", kind=tarfile.LNKTYPE, link="/etc/passwd"),
        "is a hard link",
    ),
    "hard link latest": (
        entry(f"{WEB}/latest", kind=tarfile.LNKTYPE, link="7"),
        "is a hard link",
    ),
    "character device": (entry(f"{WEB}/7/f", kind=tarfile.CHRTYPE), "is a device"),
    "block device": (entry(f"{WEB}/7/f", kind=tarfile.BLKTYPE), "is a device"),
    "named pipe": (entry(f"{WEB}/7/f", kind=tarfile.FIFOTYPE), "is a named pipe"),
    "contiguous file": (entry(f"{WEB}/7/f", b"x", kind=tarfile.CONTTYPE), "unknown type b'7'"),
    "volume label": (entry("label", kind=b"V"), "unknown type b'V'"),
    "unknown type": (entry(f"{WEB}/7/f", b"x", kind=b"Q"), "unknown type b'Q'"),
    "sparse, GNU": (entry(f"{WEB}/7/f", b"x", kind=tarfile.GNUTYPE_SPARSE), "is a sparse file"),
    "sparse, pax": (
        entry(f"{WEB}/7/f", b"x", pax={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}),
        "'GNU.sparse.major'",
    ),
    "folder with content": (
        entry(f"{WEB}/7", b"x", kind=tarfile.DIRTYPE),
        "has content, but is not a file",
    ),
    "folder as a file": (entry(f"{WEB}/7/f", kind=tarfile.DIRTYPE), "is not <target>"),
    "folder elsewhere": (entry("docs", kind=tarfile.DIRTYPE), "is not <target>"),
    "folder as root": (entry("/", kind=tarfile.DIRTYPE), "is not <target>"),
    "folder as manifest": (entry("patchset.json", kind=tarfile.DIRTYPE), "is not <target>"),
    "folder outside": (entry("../outside", kind=tarfile.DIRTYPE), "leads out"),
    "empty target": (entry(OTHER, kind=tarfile.DIRTYPE), "is empty"),
    "empty level": (entry(f"{WEB}/8", kind=tarfile.DIRTYPE), f"'{WEB}/8' is empty"),
    "a file twice": (patch(f"{WEB}/7/kpatch.bin"), "is in it twice"),
    "a file twice, dotted": (patch(f"./{WEB}/7/kpatch.bin"), "is in it twice"),
    "two levels": (patch(f"{WEB}/8/kpatch.bin"), f"target {WEB} has two levels, 7 and 8"),
    "file as a folder": (patch(f"{WEB}/7/kpatch.bin/x"), "is not <target>/<level>/<file>"),
    "two manifests": (manifest_entry() * 2, "'patchset.json' is in it twice"),
}


@pytest.mark.parametrize("case", BAD_KINDS)
def test_members(world: Path, case: str) -> None:
    bad, fragment = BAD_KINDS[case]
    assert fragment in refusal(world, store(world, tar(members(), bad)))


BAD_MANIFESTS: dict[str, tuple[dict[str, Any], str]] = {
    "other product": ({"product": "user"}, "it is for the product 'user', not 'kernel'"),
    "other name": ({"name": "K20261122_02"}, "names the patchset 'K20261122_02'"),
    "long name": ({"name": "K" * 999}, "names the patchset"),
    "other format": ({"format": 2}, "has format 2"),
    "format as text": ({"format": "1"}, "patchset.json cannot be used"),
    "unknown field": ({"surprise": 1}, "patchset.json cannot be used"),
    "no targets": ({"targets": {}}, "is not in patchset.json"),
    "targets as a list": ({"targets": []}, "patchset.json cannot be used"),
    "unknown channel": ({"channels": ["secret"]}, "patchset.json cannot be used"),
    "level as text": (web(level="7"), "patchset.json cannot be used"),
    "level zero": (web(level=0), "patchset.json cannot be used"),
    "level broken": (web(level=7.5), "patchset.json cannot be used"),
    "other level": (web(level=8), f"'{WEB}/8/kpatch.bin' is in patchset.json, but not in it"),
    "fewer files": (web(files={}), "states no files for target"),
    "size of another": (web_file(size=651), "has 650 bytes, patchset.json says 651"),
    "size negative": (web_file(size=-1), "patchset.json cannot be used"),
    "size enormous": (web_file(size=2**50), "it unpacks to"),
    "size beyond any integer": (web_file(size=10**400), "patchset.json cannot be used"),
    "hash of another": (web_file(sha256="0" * 64), "has other bytes than patchset.json says"),
    "hash in capitals": (web_file(sha256="A" * 64), "patchset.json cannot be used"),
    "target more": (
        {"targets": STATED["targets"] | {OTHER: STATED["targets"][DB]}},
        f"'{OTHER}/12/kpatch.bin' is in patchset.json, but not in it",
    ),
    "target less": (
        {"targets": {WEB: STATED["targets"][WEB]}},
        f"'{DB}/12/kpatch.bin' is not in patchset.json",
    ),
    "hostile target": (
        {"targets": STATED["targets"] | {"../../outside": STATED["targets"][DB]}},
        "is in patchset.json, but not in it",
    ),
}


@pytest.mark.parametrize("case", BAD_MANIFESTS)
def test_manifests(world: Path, case: str) -> None:
    changes, fragment = BAD_MANIFESTS[case]
    assert fragment in refusal(world, store(world, described(changes)))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"null", id="null"),
        pytest.param(b"\xff\xfe{}", id="not UTF-8"),
        pytest.param(b'{"format": 1', id="cut"),
        pytest.param(b"[" * 1_000_000, id="deep list"),
        pytest.param(b'{"targets":' * 500_000, id="deep object"),
        pytest.param(b'{"changelog": ' + b"[" * 1_000_000, id="deep where text is"),
        pytest.param(b'{"surprise": ' + b"[" * 1_000_000, id="deep where nothing is"),
    ],
)
def test_manifests_that_are_none(world: Path, text: bytes) -> None:
    archive = store(world, tar(entry("patchset.json", text), members()))
    assert "patchset.json cannot be used" in refusal(world, archive)


def test_a_manifest_larger_than_is_read(world: Path) -> None:
    size = 64 * 1024 * 1024 + 1
    archive = store(world, entry("patchset.json", size=size))
    limits = Limits(files=10, bytes=10**9, ratio=10**9)
    assert f"patchset.json has {size} bytes" in refusal(world, archive, limits)


def test_names_of_files(world: Path) -> None:
    archive = store(world, tar(members()), name="U20261122_01")
    with pytest.raises(ArchiveError, match="'U20261122_01' is not a name of a KernelCare"):
        unpack_into(world, archive)


# Streams


@pytest.fixture(params=READERS)
def suffix(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every compression; bzip2 by the program, and by the library as if there were no program."""
    return use_reader(request.param, monkeypatch)


NOISE = tar(members({f"{WEB}/7/noise": random.Random(3).randbytes(60_000)}))


@pytest.mark.parametrize("lost", [1, 8, 100, 30_000, 60_000])
def test_truncated_streams(
    world: Path, suffix: str, lost: int, capfd: pytest.CaptureFixture[str]
) -> None:
    archive = store(world, NOISE, suffix=suffix)
    os.truncate(archive, archive.stat().st_size - lost)
    assert "stream is truncated" in refusal(world, archive)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9, 1.0])
def test_damaged_streams(
    world: Path, suffix: str, place: float, capfd: pytest.CaptureFixture[str]
) -> None:
    """One flipped bit in the data, or in the checksum that ends it."""
    archive = store(world, NOISE, suffix=suffix)
    data = bytearray(archive.read_bytes())
    data[int((len(data) - 8) * place)] ^= 16
    archive.write_bytes(data)
    assert "stream is" in refusal(world, archive)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "garbage", [b"\0" * 512, b"\n", b"<html>", b"BZh9", b"\x1f\x8b", b"x" * 300_000]
)
def test_bytes_after_the_stream(world: Path, suffix: str, garbage: bytes) -> None:
    archive = store(world, GOOD, suffix=suffix)
    with archive.open("ab") as file:
        file.write(garbage)
    assert "stream" in refusal(world, archive)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(GOOD, id="tar without compression"),
        pytest.param(b"PK\x03\x04" + bytes(100), id="zip"),
    ],
)
def test_files_that_are_not_compressed(world: Path, data: bytes) -> None:
    archive = world / f"{NAME}.tar.bz2"
    archive.write_bytes(data)
    assert "it is not compressed in a known way" in refusal(world, archive)


@pytest.mark.parametrize(
    ("end", "fragment"), [("exit 3", "truncated or damaged"), ("kill -9 $$", "signal 9")]
)
def test_a_failing_program_is_noticed(
    world: Path, monkeypatch: pytest.MonkeyPatch, end: str, fragment: str
) -> None:
    """How it ends counts, also when all the bytes were there."""
    real = shutil.which("lbzip2") or pytest.fail(
        "lbzip2 is not installed: scripts/test installs it"
    )
    fake = world / "bin" / "lbzip2"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\n"{real}" "$@"\n{end}\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent))
    archive = store(world, GOOD, suffix=".bz2")
    assert fragment in refusal(world, archive)
    shutil.rmtree(fake.parent)


def test_archives_that_are_no_files(world: Path) -> None:
    os.mkfifo(world / f"{NAME}.tar.gz")
    assert "not a regular file" in refusal(world, world / f"{NAME}.tar.gz")
    (world / f"{NAME}.tar.gz").unlink()
    (world / "staging").rmdir()
    assert "not a regular file" in refusal(world, world / f"{NAME}.tar.gz")


def test_xz_that_asks_for_too_much_memory(world: Path) -> None:
    """The block header asks for a dictionary of 1.5 GiB; its checksum is made good."""
    data = lzma.compress(GOOD)
    block = data[12:16] + bytes([37]) + data[17:20]
    archive = world / f"{NAME}.tar.xz"
    archive.write_bytes(data[:12] + block + zlib.crc32(block).to_bytes(4, "little") + data[24:])
    assert "its xz stream is damaged, or needs too much memory" in refusal(world, archive)


def test_zstd_that_asks_for_too_much_memory(world: Path) -> None:
    """A frame with one raw block, and a window of 2 to the power of 30 bytes."""
    archive = world / f"{NAME}.tar.zst"
    block = (len(GOOD) << 3 | 1).to_bytes(3, "little") + GOOD
    archive.write_bytes(b"\x28\xb5\x2f\xfd\0" + bytes([30 - 10 << 3]) + block)
    assert "its zstd stream is damaged, or needs too much memory" in refusal(world, archive)
    (world / "staging").rmdir()
    archive.write_bytes(b"\x28\xb5\x2f\xfd\0" + bytes([23 - 10 << 3]) + block)
    unpack_into(world, archive)


# Tar


@pytest.mark.parametrize(
    ("data", "fragment"),
    [
        pytest.param(b"", "truncated", id="nothing"),
        pytest.param(b"just a text, not a tar archive\n" * 100, "not a tar", id="text"),
        pytest.param(b"\xff" * 2048, "not a tar", id="ones"),
        pytest.param(bytes(1024), "holds no patch files", id="empty"),
        pytest.param(tar(manifest_entry()), "holds no patch files", id="only a manifest"),
        pytest.param(
            tar(entry(f"{WEB}/7/", kind=tarfile.DIRTYPE)), "holds no patch files", id="only folders"
        ),
        pytest.param(members(), "truncated", id="no end"),
        pytest.param(members() + bytes(512), "truncated", id="half an end"),
        pytest.param(members()[:-1], "truncated", id="padding cut"),
        pytest.param(members()[:600], "truncated", id="content cut"),
        pytest.param(members()[:100], "truncated", id="header cut"),
        pytest.param(members() + b"\1" * 1024, "damaged", id="damage for a header"),
        pytest.param(members() + bytes(512) + members(), "damaged", id="members after an end"),
        pytest.param(tar(members()) + members(), "other bytes follow", id="two archives"),
        pytest.param(tar(members()) + b"x", "other bytes follow", id="garbage"),
        pytest.param(tar(members()) + bytes(2_000_000), "other bytes follow", id="zeros"),
        pytest.param(
            tar(members(), entry(f"{WEB}/7/f", size=5)), "truncated", id="content missing"
        ),
    ],
)
def test_tar_streams(world: Path, data: bytes, fragment: str) -> None:
    assert fragment in refusal(world, store(world, data))


def resized(field: bytes) -> bytes:
    header = entry(f"{WEB}/7/f")
    return rechecked(header[:124] + field + header[136:])


def pax(records: bytes, size: int | None = None, kind: bytes = tarfile.XHDTYPE) -> bytes:
    return entry("././@PaxHeader", records, kind, size=size)


@pytest.mark.parametrize(
    ("bad", "fragment"),
    [
        pytest.param(resized(b"\xff" * 12), "allowed", id="size negative"),
        pytest.param(resized(b"\x80" + b"\x7f" * 11), "allowed", id="size enormous"),
        pytest.param(resized(b"77777777777\0"), "allowed", id="size of 8 GiB"),
        pytest.param(resized(b"0000000x000\0"), "not a tar", id="size no number"),
        pytest.param(resized(b"-0000000001\0"), "allowed", id="size signed"),
        pytest.param(entry(f"{WEB}/7/f", pax={"size": "1"}), "'size'", id="size by pax"),
        pytest.param(pax(b"", size=2**40), "extended header is too large", id="pax of 1 TiB"),
        pytest.param(pax(b"x" * 65537), "extended header is too large", id="pax of 65537"),
        pytest.param(
            rechecked(pax(b"")[:124] + b"\xff" * 12 + pax(b"")[136:]),
            "too large",
            id="pax negative",
        ),
        pytest.param(pax(b"9 path=x\n", size=5), "a pax header is damaged", id="pax cut"),
        pytest.param(pax(b"0 path=x\n"), "a pax header is damaged", id="pax record of 0"),
        pytest.param(pax(b"-1 path=x\n"), "a pax header is damaged", id="pax record of -1"),
        pytest.param(pax(b"1 path=x\n"), "a pax header is damaged", id="pax record of 1"),
        pytest.param(pax(b"2 path=x\n"), "a pax header is damaged", id="pax record of 2"),
        pytest.param(pax(b"99 path=x\n"), "a pax header is damaged", id="pax record of 99"),
        pytest.param(pax(b"9" * 5000), "a pax header is damaged", id="pax of digits"),
        pytest.param(pax(b"\xd9\xa9 path=x\n"), "a pax header is damaged", id="pax not ASCII"),
        pytest.param(pax(b"path=x\n"), "a pax header is damaged", id="pax without length"),
        pytest.param(
            pax(b"14 path=/etc/x\n", kind=tarfile.XGLTYPE), "damaged", id="global, wrong length"
        ),
        pytest.param(
            pax(b"15 path=/etc/x\n", kind=tarfile.XGLTYPE),
            "a global header names",
            id="global path",
        ),
        pytest.param(
            pax(b"13 linkpath=\n", kind=tarfile.XGLTYPE), "a global header names", id="global link"
        ),
        pytest.param(pax(b"9 size=1\n", kind=tarfile.XGLTYPE), "'size'", id="global size"),
        pytest.param(pax(b""), "belongs to no member", id="pax at the end"),
        pytest.param(pax(b"") * 5, "too many extended headers", id="many pax"),
        pytest.param(
            entry("L", b"x\0", tarfile.GNUTYPE_LONGNAME) * 5, "too many extended", id="many names"
        ),
        pytest.param(
            entry("L", size=2**33, kind=tarfile.GNUTYPE_LONGNAME), "too large", id="name of 8 GiB"
        ),
        pytest.param(
            entry("L", f"{WEB}/7/a\0b".encode(), tarfile.GNUTYPE_LONGNAME) + entry("x"),
            "not allowed",
            id="name with NUL",
        ),
    ],
)
def test_headers(world: Path, bad: bytes, fragment: str) -> None:
    assert fragment in refusal(world, store(world, tar(members(), bad)))


# Too much


def test_too_many_members(world: Path) -> None:
    assert "more than 2 members (ARCHIVE_MAX_FILES)." in refusal(
        world, store(world, GOOD), Limits(files=2, bytes=10**9, ratio=100)
    )


def test_folders_count_as_members(world: Path) -> None:
    folders = b"".join(entry(f"{number:040x}/", kind=tarfile.DIRTYPE) for number in range(20))
    archive = store(world, tar(folders, members()))
    assert "more than 10 members" in refusal(world, archive, Limits(10, 10**9, 100))


def test_too_much_data(world: Path) -> None:
    """Refused by what a header or the manifest says, before the bytes come."""
    limits = Limits(files=100, bytes=1_000_000, ratio=1000)
    name = f"{WEB}/7/large"
    zeros = {name: bytes(2_000_000)}
    for number, data in enumerate((tar(members(zeros)), tar(manifest_entry(zeros)))):
        folder = world / str(number)
        folder.mkdir()
        assert "1000000" in refusal(folder, store(folder, data), limits)
        assert contents(folder / "staging") == {}
        shutil.rmtree(folder)


def test_too_much_of_what_is_no_data(world: Path) -> None:
    """Extended headers cost bytes too."""
    comment = entry(f"{WEB}/7/f", b"x", pax={"comment": "c" * 60_000})
    archive = store(world, tar(comment))
    sentence = refusal(world, archive, Limits(9, 20_000, 999))
    assert "more than the 20000 bytes allowed (ARCHIVE_MAX_BYTES)." in sentence


def test_archives_that_grow_too_much(world: Path, suffix: str) -> None:
    archive = store(world, tar(members({f"{WEB}/7/zeros": bytes(12_000_000)})), suffix=suffix)
    sentence = refusal(world, archive, Limits(files=10, bytes=10**9, ratio=100))
    assert "it unpacks to more than the 10000000 bytes allowed (ARCHIVE_MAX_RATIO)." in sentence


def test_tar_streams_that_do_not_end(world: Path, suffix: str) -> None:
    archive = store(world, tar(members()) + bytes(3_000_000), suffix=suffix)
    assert "other bytes follow its tar stream" in refusal(world, archive)


def test_more_than_the_disk_has(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Noticed from the manifest, or from a member's header, before anything is written."""
    real = os.statvfs(world)
    full = os.statvfs_result((*real[:4], 0, *real[5:]))
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    for number, data in enumerate((GOOD, tar(members()))):
        folder = world / str(number)
        folder.mkdir()
        with pytest.raises(StorageError, match=f"Patchset {NAME} needs .* on the disk"):
            unpack_into(folder, store(folder, data))
        assert contents(folder / "staging") == {}
        shutil.rmtree(folder)


def test_a_disk_that_refuses_to_write(world: Path) -> None:
    """A limit of the process stands in for a full disk: ``write`` fails half way."""
    archive = store(world, tar(members({f"{WEB}/7/large": bytes(500_000)})))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StorageError, match="File too large"):
            unpack_into(world, archive)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# Anything at all


@pytest.mark.parametrize("seed", range(4))
def test_random_damage_is_refused_or_harmless(world: Path, seed: int) -> None:
    """Whatever is changed in the tar bytes: the same files, or a sentence."""
    rng = random.Random(seed)
    for _ in range(100):
        data = bytearray(GOOD)
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.choice(
                (0, 0x2F, 0x35, 0x80, 0xFF, rng.randrange(256))
            )
        try:
            unpack_into(world, store(world, bytes(data), suffix=".zst"))
        except ArchiveError:
            pass
        else:
            assert contents(world / "staging") == FILES
        shutil.rmtree(world / "staging")


def test_random_damage_to_the_stream(
    world: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    rng = random.Random(suffix)
    archive = store(world, GOOD, suffix=suffix)
    whole = archive.read_bytes()
    for _ in range(60):
        data = bytearray(whole)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        archive.write_bytes(data[: rng.choice((len(data), rng.randrange(len(data))))])
        try:
            unpack_into(world, archive)
        except ArchiveError:
            pass
        else:
            assert contents(world / "staging") == FILES
        shutil.rmtree(world / "staging")


def test_lbzip2_is_not_asked_about_other_bytes(world: Path) -> None:
    """It would ignore them: the file must end as a stream does."""
    archive = world / f"{NAME}.tar.bz2"
    archive.write_bytes(bz2.compress(GOOD) + b"BZ")
    assert "other bytes follow" in refusal(world, archive)
