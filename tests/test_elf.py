"""Build-ids are read from ELF files as their linker wrote them, and from no damaged ones."""

from __future__ import annotations

import random
import re
import struct
import subprocess
from pathlib import Path

import pytest

from eportal_core.errors import ArchiveError
from eportal_core.patchsets.elf import is_elf, read_build_id

SOURCE = "int answer(void) { return 42; }\n"


def library(folder: Path, build_id: str) -> Path:
    """A shared library linked with ``--build-id=<build_id>``."""
    source, path = folder / "answer.c", folder / "libanswer.so.1"
    source.write_text(SOURCE)
    link = ["gcc", "-shared", "-fPIC", f"-Wl,--build-id={build_id}", "-o", path, source]
    subprocess.run(link, check=True)
    return path


@pytest.mark.parametrize("style", ["sha1", "md5", "0x00112233445566778899aabb"])
def test_it_is_what_readelf_shows(tmp_path: Path, style: str) -> None:
    path = library(tmp_path, style)
    notes = subprocess.run(["readelf", "-n", path], capture_output=True, text=True, check=True)
    found = re.search(r"Build ID: (\S+)", notes.stdout)
    assert found is not None
    assert read_build_id(path) == found[1]


def test_a_file_without_one_is_refused(tmp_path: Path) -> None:
    path = library(tmp_path, "none")
    assert is_elf(path)
    with pytest.raises(ArchiveError, match=r"libanswer.so.1 has no build-id; link it with"):
        read_build_id(path)


def test_what_is_no_elf_file_is_none(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("no elf")
    assert not is_elf(path)


def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path: Path) -> None:
    whole = library(tmp_path, "sha1").read_bytes()
    chance = random.Random(20261122)
    path = tmp_path / "damaged"
    for _ in range(600):
        damaged = bytearray(whole)
        for _ in range(chance.choice([1, 2, 5, 40])):
            place = chance.randrange(chance.choice([64, 600, 1200, len(whole)]))
            damaged[place] = chance.choice([0, 127, 128, 255])
        path.write_bytes(damaged[: chance.choice([len(whole), chance.randrange(4, len(whole))])])
        try:
            assert isinstance(read_build_id(path), str)
        except ArchiveError:
            continue


def with_notes(path: Path, notes: bytes) -> Path:
    """An ELF file of one segment, which is ``notes``, and no sections. Source: elf(5)."""
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 4, 4, 120, 120, 120, len(notes), len(notes), 4)
    path.write_bytes(ident + header + segment + notes)
    return path


def test_a_build_id_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    note = struct.pack("<III", 4, 20, 3) + b"GNU\0" + bytes(range(20))
    whole = with_notes(tmp_path / "whole", note)
    assert read_build_id(whole) == bytes(range(20)).hex()
    cut = tmp_path / "cut"
    for missing in range(1, 20):
        cut.write_bytes(whole.read_bytes()[:-missing])
        with pytest.raises(ArchiveError, match="cannot be read as an ELF file"):
            read_build_id(cut)


@pytest.mark.parametrize(
    "notes",
    [bytes(12 * 1_000_000), struct.pack("<III", 4, 12_000_000, 5) + b"GNU\0" + bytes(12_000_000)],
    ids=["many", "one of many properties"],
)
def test_no_more_notes_are_read_than_an_honest_file_has(tmp_path: Path, notes: bytes) -> None:
    """The library would take minutes to look at them."""
    path = with_notes(tmp_path / "elf", notes)
    with pytest.raises(ArchiveError, match=f"it has {len(notes)} bytes of notes"):
        read_build_id(path)
