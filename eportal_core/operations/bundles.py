"""Take what a bundle brings: as an update does, from a folder instead of the network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from eportal_core.errors import InvalidValue, NoSource, PortalError, UpstreamError
from eportal_core.models import Feed
from eportal_core.operations import feeds, offers, updates
from eportal_core.portal import Portal

if TYPE_CHECKING:
    from eportal_core.operations.fetching import Fetched
    from eportal_core.source.bundle.contents import Contents
    from eportal_core.source.bundle.parts import Parts
    from eportal_core.types import Carried


@dataclass(frozen=True)
class Patchsets:
    """What came of the patchsets in a bundle; enabled: how often one was enabled in a feed."""

    fetched: Fetched
    enabled: int


@dataclass
class Applied:
    """What came of a bundle.

    patchsets: None when it has none, or they were refused. done: what was done for other
    products, by name. untaken: names of what nothing here takes. to_come: what this portal is to
    have and that was not in what it was given, by the part that has it; that of which nobody
    knows where it is, by ``""``. refusals: sentences.
    """

    patchsets: Patchsets | None = None
    done: dict[str, str] = field(default_factory=dict)
    untaken: Sequence[str] = ()
    to_come: dict[str, list[str]] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)

    def check(self) -> None:
        """To be asked when everything else is done.

        Raises:
            PortalError: something was refused, or could not be had.
        """
        if self.refusals:
            raise PortalError(" ".join(self.refusals))


def apply(portal: Portal, named: Sequence[Path], feed: str | None = None) -> Applied:
    """Verify and take what is in a bundle, or in some parts of one, and new here.

    Patchsets that are new for any feed are published; then feeds that update by themselves get
    what is due there, and ``feed`` all that it may have. Other products prove by themselves what
    the bundle has for them. What is refused or cannot be had is in the answer, the rest is done.

    Raises:
        NotFound: there is no such feed.
        InvalidValue: there is no such bundle, the parts are of more than one, or in cache mode.
        NoSource: no patch source is trusted, and there are only patchsets in the bundle.
        SourceRefused: the metadata is not what the publisher signed, or not fresh; nothing changed,
            and there are only patchsets in the bundle.
        Conflict: the patch source is being read, or another bundle is applied.
        UpstreamError: the bundle cannot be read.
        StorageError: the disk refused.
    """
    from eportal_core.source.bundle import carried, contents, parts

    if feed is not None:
        feeds.get(feed)
    given = parts.opened(named)
    known = carried.all_carried(portal)
    said = contents.read(given)
    places = {file.path: file.part for file in said.files} if said else {}
    applied = Applied(untaken=_untaken(said, known))
    if given.has_patchsets:
        try:
            _take_patchsets(portal, given, feed, applied, places)
        except (NoSource, UpstreamError) as error:
            if not given.has(parts.CARRIED):
                raise
            applied.refusals.append(str(error))
    for each in known:
        if given.has(carried.folder_of(each)):
            _take_carried(each, given, applied, places)
    return applied


def enable_due(portal: Portal) -> str:
    """Enable what was carried here and has waited as long as its feed does; says how much.

    For a portal that has no source to ask before it enables something.
    """
    count = sum(updates.enable_due(portal, product) for product in portal.products.values())
    return f"enabled in feeds: {count}" if count else ""


def _take_patchsets(
    portal: Portal, given: Parts, feed: str | None, applied: Applied, places: Mapping[str, str]
) -> None:
    from eportal_core.operations.fetching import fetch
    from eportal_core.source.bundle.parts import archive_of
    from eportal_core.source.bundle.reading import open_bundle

    if portal.config["CACHE_MODE"]:
        raise InvalidValue(
            "CACHE_MODE is on: it fetches patch files when agents ask for them, and then there is "
            "no bundle; set CACHE_MODE = False."
        )
    products = list(portal.products.values())
    with open_bundle(portal, given) as source:
        listed = updates.refresh(portal, source)
        every_feed = list(Feed.select())
        wanted = [
            listed[row.id]
            for product in products
            for row in offers.fresh(portal, product, every_feed)
        ]
        fetched = fetch(portal, source, [each for each in wanted if given.has(archive_of(each))])
        enabled = 0
        for product in products:
            if feed is not None:
                enabled += updates.enable(portal, product, feed, at_once=True)
            enabled += updates.enable_due(portal, product)
    applied.patchsets = Patchsets(fetched, enabled)
    for offer in wanted:
        if not given.has(archive_of(offer)):
            applied.to_come.setdefault(places.get(archive_of(offer), ""), []).append(offer.name)
    try:
        fetched.check()
    except PortalError as error:
        applied.refusals.append(str(error))


def _take_carried(
    carried: Carried, given: Parts, applied: Applied, places: Mapping[str, str]
) -> None:
    from eportal_core.source.bundle.carried import CarriedFolder, apply, folder_of
    from eportal_core.source.bundle.stock import amount

    folder = CarriedFolder(given, folder_of(carried))
    try:
        applied.done[carried.name] = apply(carried, folder)
    except PortalError as error:
        applied.refusals.append(f"{carried.name}: {error}")
    missing = Counter(places.get(f"{folder_of(carried)}/{path}", "") for path in folder.missing)
    for part, count in missing.items():
        applied.to_come.setdefault(part, []).append(amount(count, carried))


def _untaken(said: Contents | None, known: Sequence[Carried]) -> list[str]:
    """What the bundle, which nobody signs, says that it has and nothing here takes."""
    from eportal_core.source.bundle.carried import id_of

    return sorted((said.carried if said else {}).keys() - {id_of(each) for each in known})
