"""Which archives go into which part of a bundle."""

from __future__ import annotations

import re
from collections.abc import Sequence

from eportal_core.errors import InvalidValue
from eportal_core.source.layout import Offer

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


def weight(offer: Offer) -> int:
    """Bytes of what a bundle has of it: archive and manifest."""
    return offer.size + offer.meta_size


def packed(offers: Sequence[Offer], size: int, overhead: int) -> list[list[Offer]]:
    """``offers`` in parts, each into the first that has room; there is one part at least.

    size: bytes that a part may have. overhead: bytes of what is in every part.

    Raises:
        InvalidValue: one is larger than a part.
    """
    for offer in offers:
        if overhead + weight(offer) > size:
            raise InvalidValue(
                f"{offer.name} alone needs a part of {overhead + weight(offer)} bytes, and --split "
                f"allows {size}."
            )
    if overhead > size:
        raise InvalidValue(f"Every part has {overhead} bytes of metadata; --split allows {size}.")
    parts: list[list[Offer]] = [[]]
    room = [size - overhead]
    for offer in offers:
        needed = weight(offer)
        number = next((each for each, left in enumerate(room) if needed <= left), len(room))
        if number == len(room):
            parts.append([])
            room.append(size - overhead)
        parts[number].append(offer)
        room[number] -= needed
    return parts


def part_name(number: int) -> str:
    """``part-001`` is the first, number 0."""
    return f"part-{number + 1:03}"
