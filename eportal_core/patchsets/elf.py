"""The build-id of an ELF file, by which agents ask for its patches."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from eportal_core.errors import ArchiveError
from eportal_core.storage import disk_errors

_MAGIC = b"\x7fELF"
#: Bytes of notes that one segment may have: an honest one has some hundred, and the library takes
#: seconds for each megabyte of a hostile one.
_NOTES_MAX = 1 << 18


def is_elf(path: Path) -> bool:
    """Whether the file begins as an ELF file does.

    Raises:
        StorageError: it cannot be read.
    """
    with disk_errors(path), path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def read_build_id(path: Path) -> str:
    """The build-id in the notes of an ELF file, in hex.

    Raises:
        ArchiveError: it has no build-id, or is damaged.
        StorageError: it cannot be read.
    """
    from elftools.common.exceptions import ELFError
    from elftools.construct import ConstructError
    from elftools.elf.elffile import ELFFile
    from elftools.elf.segments import NoteSegment

    # What the library raises for a file that lies about its own tables.
    lies = (ELFError, ConstructError, AttributeError, LookupError, ArithmeticError, TypeError)
    with disk_errors(path):
        content = BytesIO(path.read_bytes())
    try:
        for segment in ELFFile(content).iter_segments():
            if not isinstance(segment, NoteSegment):
                continue
            if segment["p_filesz"] > _NOTES_MAX:
                raise ValueError(f"it has {segment['p_filesz']} bytes of notes")
            for note in segment.iter_notes():
                if note["n_type"] == "NT_GNU_BUILD_ID" and note["n_name"] == "GNU":
                    build_id = str(note["n_desc"])
                    # The library takes what there is of a note that ends after the file does.
                    if len(build_id) != 2 * note["n_descsz"]:
                        raise ValueError("its build-id is cut off")
                    return build_id
    except (*lies, ValueError) as error:
        raise ArchiveError(f"{path} cannot be read as an ELF file: {error}.") from None
    raise ArchiveError(f"{path} has no build-id; link it with --build-id.")
