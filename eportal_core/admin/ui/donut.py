"""A circle of segments, of which each leads somewhere; drawn by ``templates/donut.html``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: As ``static/overview.css`` names them; of something that gets worse, and of things that differ.
WORSE = ("green", "yellow", "orange", "red")
DIFFERENT = ("blue", "purple", "teal", "pink", "cyan", "lime")
#: Of what is left over.
OTHERS = "secondary"


@dataclass(frozen=True)
class Segment:
    """A part of the whole. start, share: where it begins and how long it is, percent of a circle.

    href: where it leads.
    """

    label: str
    number: int
    href: str
    colour: str
    start: float
    share: float


def segments(parts: Sequence[tuple[str, int, str, str]]) -> list[Segment]:
    """parts: label, number, address and colour of each."""
    total = sum(number for _, number, _, _ in parts) or 1
    found: list[Segment] = []
    before = 0
    for label, number, href, colour in parts:
        start, share = (round(100 * each / total, 3) for each in (before, number))
        found.append(Segment(label, number, href, colour, start, share))
        before += number
    return found
