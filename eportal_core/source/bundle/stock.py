"""What goes into a bundle: archives that the source lists, and files of other products."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from eportal_core.counting import counted
from eportal_core.errors import UpstreamError
from eportal_core.models import Patchset
from eportal_core.portal import Portal
from eportal_core.source.bundle.carried import folder_of, id_of
from eportal_core.source.bundle.packing import Item, Piece
from eportal_core.source.files import Folder, Progress
from eportal_core.source.held import HeldMetadata
from eportal_core.source.layout import TARGETS, Offer, stored_path
from eportal_core.source.places import Place
from eportal_core.types import Carried, CarriedFile

log = logging.getLogger("eportal.bundle")


@dataclass(frozen=True)
class Load:
    """What a bundle has for one ``Carried``: the files that it always has, and all others."""

    carried: Carried
    always: Sequence[CarriedFile]
    others: Sequence[CarriedFile]

    def __str__(self) -> str:
        return amount(len(self.others), self.carried)


@dataclass(frozen=True)
class Stock:
    """All of a bundle.

    known: the metadata of the source, None in a bundle without patchsets. everywhere: what every
    part has besides. items: what is in one part each. carried: how many files, by id.
    told: all of it in words.
    """

    known: HeldMetadata | None
    everywhere: Sequence[Piece]
    items: Sequence[Item]
    carried: Mapping[str, int]
    told: str


def make(known: HeldMetadata | None, archives: Sequence[Item], loads: Sequence[Load]) -> Stock:
    """``archives`` and ``loads`` in one bundle."""
    return Stock(
        known,
        [_piece(load.carried, file) for load in loads for file in load.always],
        [
            *archives,
            *(
                Item(f"{file.path} of {load.carried.name}", (_piece(load.carried, file),))
                for load in loads
                for file in load.others
            ),
        ],
        {id_of(load.carried): len(load.others) for load in loads},
        listed([*([counted(len(archives), "patchset")] if known else []), *map(str, loads)]),
    )


def archives(portal: Portal, place: Place, offers: Iterable[Offer]) -> list[Item]:
    """The archives of ``offers`` with their manifests: from ``arch/``, or from the source."""
    rows = {row.sha256: row for row in Patchset.select()}
    here = Folder(portal.storage.archives)

    def write(stored: str, size: int, sha256: str, name: str, to: Path, show: Progress) -> None:
        if name:
            try:
                here.fetch(name, to, size, sha256, show)
                return
            except UpstreamError as error:
                log.info("%s is fetched from the patch source: %s", name, error)
        place.fetch(stored, to, size, sha256, show)

    def piece(path: str, size: int, sha256: str, name: str) -> Piece:
        stored = f"{TARGETS}/{stored_path(path, sha256)}"
        return Piece(stored, size, ("sha256", sha256), partial(write, stored, size, sha256, name))

    def item(offer: Offer) -> Item:
        row = rows.get(offer.sha256)
        manifest = f"{row.name}.meta.json" if row else ""
        return Item(
            offer.name,
            (
                piece(offer.archive, offer.size, offer.sha256, row.archive if row else ""),
                piece(offer.meta, offer.meta_size, offer.meta_sha256, manifest),
            ),
        )

    return [item(offer) for offer in offers]


def amount(number: int, carried: Carried) -> str:
    """``12 packages of almalinux9/esu``."""
    return f"{number} {carried.unit} of {carried.name}"


def listed(told: Sequence[str]) -> str:
    """``a, b and c``."""
    *others, last = told
    return f"{', '.join(others)} and {last}" if others else last


def _piece(carried: Carried, file: CarriedFile) -> Piece:
    def write(to: Path, show: Progress) -> None:
        folder = Folder(file.source.parent)
        folder.copy(file.source.name, to, file.size, file.checksum, show)

    return Piece(f"{folder_of(carried)}/{file.path}", file.size, file.checksum, write)
