"""Which files go into which part of a bundle."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eportal_core.errors import InvalidValue
from eportal_core.source.files import Progress

_SIZE = re.compile(r"([1-9][0-9]{0,15})([KMGT]?)")
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def size_of(text: str) -> int:
    """``4G`` in bytes; K, M, G and T are powers of 1024.

    Raises:
        InvalidValue: it is no size.
    """
    found = _SIZE.fullmatch(text.upper())
    if found is None:
        raise InvalidValue(f"{text!r} is no size: write bytes, or a number and K, M, G or T.")
    return int(found[1]) * _UNITS[found[2]]


@dataclass(frozen=True)
class Piece:
    """A file of a bundle. path: there. size: bytes. checksum: algorithm and hex digest.

    write: puts it, verified, where it is told, and tells of each piece that it wrote, bytes.
    """

    path: str
    size: int
    checksum: tuple[str, str]
    write: Callable[[Path, Progress], None]


@dataclass(frozen=True)
class Item:
    """Files that are all in one part. name: for people."""

    name: str
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(piece.size for piece in self.pieces)


def packed(items: Sequence[Item], size: int, overhead: int) -> list[list[Item]]:
    """``items`` in parts, each into the first that has room; there is one part at least.

    size: bytes that a part may have. overhead: bytes of what is in every part.

    Raises:
        InvalidValue: one is larger than a part.
    """
    for item in items:
        if overhead + item.size > size:
            raise InvalidValue(
                f"{item.name} alone needs a part of {overhead + item.size} bytes, and --split "
                f"allows {size}."
            )
    if overhead > size:
        raise InvalidValue(f"Every part has {overhead} bytes of metadata; --split allows {size}.")
    parts: list[list[Item]] = [[]]
    room = [size - overhead]
    for item in items:
        number = next((each for each, left in enumerate(room) if item.size <= left), len(room))
        if number == len(room):
            parts.append([])
            room.append(size - overhead)
        parts[number].append(item)
        room[number] -= item.size
    return parts


def part_name(number: int) -> str:
    """``part-001`` is the first, number 0."""
    return f"part-{number + 1:03}"
