"""``kpatch.info``: the header of the text that describes a kernel patch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

INFO_NAME = "kpatch.info"
#: The header is a few lines; no more than this is read of it.
HEADER_BYTES = 4096
FIELD_CHARACTERS = 1000


@dataclass(frozen=True)
class Info:
    """What the header tells, empty where it does not: ``OS:`` and ``uname:``."""

    distro: str = ""
    uname: str = ""


def read_info(level_directory: Path) -> Info:
    """The header of the ``kpatch.info`` of a level; nothing is known where there is none.

    Never fails on what the file says: other products' files may bear the same name.

    Raises:
        OSError: the file is there and cannot be read.
    """
    path = level_directory / INFO_NAME
    if not path.is_file():
        return Info()
    with path.open("rb") as file:
        text = file.read(HEADER_BYTES).decode("utf-8", "replace")
    header = text.replace("\r\n", "\n").partition("\n\n")[0]
    fields = dict(line.partition(":")[::2] for line in header.split("\n"))
    return Info(distro=_clean(fields.get("OS", "")), uname=_clean(fields.get("uname", "")))


def _clean(value: str) -> str:
    return "".join(filter(str.isprintable, value)).strip()[:FIELD_CHARACTERS]
