"""What a patchset holds, for somebody who wants to know what it is good for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from eportal_core import db
from eportal_core.models import Level, Patchset
from eportal_core.patchsets.cves import read_cves
from eportal_core.patchsets.info import INFO_NAME
from eportal_core.patchsets.store import PatchsetStore
from eportal_core.portal import Portal
from eportal_core.types import Product

#: So many descriptions of levels are read.
READ_AT_MOST = 500


@dataclass(frozen=True)
class Closed:
    """A vulnerability that levels of a patchset close.

    score: CVSS, None when it is not known. targets: in how many. is_new: for any of them no level
    before closed it.
    """

    name: str
    score: float | None
    targets: int
    is_new: bool


@dataclass(frozen=True)
class Content:
    """targets: how many; described: of how many of them a description was read for ``closed``.

    named: the names of targets and the kernels that they are, as far as they are known.
    """

    targets: int
    described: int
    named: Sequence[str]
    closed: Sequence[Closed]


def content(portal: Portal, product: Product, patchset: Patchset) -> Content:
    """What there is in a patchset that is here."""
    levels = list(
        Level.select().where(Level.patchset == patchset).order_by(Level.target).iterator()
    )
    store = portal.stores().get(product.name)
    described = 0
    scores: dict[str, float | None] = {}
    targets: dict[str, int] = {}
    new: set[str] = set()
    for row in levels[:READ_AT_MOST]:
        found = closed_by(store, row.target, row.level)
        if found is None:
            continue
        described += 1
        before = _level_before(product, row)
        old = (closed_by(store, row.target, before) or {}) if before is not None else {}
        new |= found.keys() - old.keys()
        for cve, score in found.items():
            targets[cve] = targets.get(cve, 0) + 1
            scores[cve] = max(scores.get(cve) or 0.0, score or 0.0) or None
    closed = [Closed(cve, scores[cve], targets[cve], cve in new) for cve in scores]
    closed.sort(key=lambda each: (not each.is_new, -(each.score or 0.0), each.name))
    return Content(len(levels), described, sorted(set(_names(levels))), closed)


def closed_by(
    store: PatchsetStore | None, target: str, level: int
) -> Mapping[str, float | None] | None:
    """Vulnerabilities that a level closes, and their scores; None when it is not described here."""
    path = store.file(target, level, INFO_NAME) if store else None
    try:
        return None if path is None else read_cves(path)
    except OSError:
        return None


def _names(levels: Sequence[Level]) -> Iterator[str]:
    for row in levels:
        if text := " ".join(part for part in (row.distro, row.name or row.uname) if part):
            yield text


def _level_before(product: Product, row: Level) -> int | None:
    """The next lower level of the target, of whichever patchset."""
    ((level,),) = db.fetch(
        "SELECT max(level) FROM level WHERE target = ? AND level < ?"
        " AND patchset >= ? AND patchset < ?",
        (row.target, row.level, Patchset.key(product.name, ""), f"{product.name}0"),
    )
    return None if level is None else int(level)
