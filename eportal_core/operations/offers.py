"""Keep what the patch source lists, act on what it blocks, and choose what fits a feed."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peewee

from eportal_core import db
from eportal_core.errors import ArchiveError, Conflict
from eportal_core.models import (
    BLOCKED,
    CHANNELS,
    DISABLED,
    ENABLED,
    Feed,
    FeedPatchset,
    Offer,
    Patchset,
    now,
    put_all,
    record,
)
from eportal_core.operations.states import set_state, tell
from eportal_core.portal import Portal
from eportal_core.storage import disk_errors, write_file
from eportal_core.types import Product

if TYPE_CHECKING:
    from eportal_core.source import layout

log = logging.getLogger("eportal.patches")


def store(portal: Portal, found: Sequence[layout.Offer]) -> None:
    """Remember ``found``, all that the source lists now, in one transaction.

    What is blocked since the last time is disabled in every feed by the same transaction. Offers
    of products that no plugin brings are let be, and so are names that the product cannot have.
    """
    rows = dict(_rows(portal, found))
    with db.database.atomic():
        known = {row.id: row for row in Offer.select().where(_of_products(portal))}
        was_blocked = {key for key, row in known.items() if row.state == BLOCKED}
        fresh = [row for key, row in rows.items() if key not in known]
        other = [row for key, row in rows.items() if key in known and _take(known[key], row)]
        gone = [row for key, row in known.items() if row.listed and key not in rows]
        for row in gone:
            row.listed = False
        changed = [known[row.id] for row in other] + gone
        _write(fresh, changed)
        blocked = {row.id: row for row in [*known.values(), *fresh] if row.state == BLOCKED}
        disabled = _disable(blocked.keys(), blocked.keys() - was_blocked)
    for row in sorted(blocked.values(), key=lambda row: row.position):
        if row.id not in was_blocked:
            log.warning("%s was blocked by the patch source", row.name)
    for row in changed:
        if row.id in was_blocked and row.state != BLOCKED:
            log.info("%s is no longer blocked; it stays disabled until it is enabled", row.name)
    for feed, patchset in disabled:
        tell(portal, {patchset.id}, [patchset], feed, DISABLED)


def note_way(portal: Portal, *, carried: bool) -> None:
    """Remember how the offers came here that ``store`` was just told of: by a bundle, or not."""
    path = _carried(portal)
    with disk_errors():
        if carried and not path.exists():
            write_file(path, b"")
        elif not carried:
            path.unlink(missing_ok=True)


def to_come(portal: Portal) -> bool:
    """Whether what is listed may yet come here: the source is set, or a bundle told of it."""
    return bool(portal.config["PATCH_SOURCE_URL"]) or _carried(portal).exists()


def overrule(product: Product, states: Mapping[str, str]) -> dict[str, str]:
    """``states`` in a feed, by patchset, with what the source says of patchsets.

    Blocked is blocked everywhere; what it has disabled is so until somebody decided otherwise.
    """
    rows = Offer.select(Offer.id, Offer.state).where(
        Offer.product == product.name, Offer.state.in_((BLOCKED, DISABLED))
    )
    said = dict(db.rows(rows))
    return {**said, **states, **{key: BLOCKED for key, state in said.items() if state == BLOCKED}}


def listed(portal: Portal, product: Product) -> set[str]:
    """The patchsets that the source lists, as it was last seen; none when no source is set."""
    if not portal.config["PATCH_SOURCE_URL"]:
        return set()
    rows = Offer.select(Offer.id).where(Offer.product == product.name, Offer.listed)
    return {key for (key,) in db.rows(rows)}


def refuse_blocked(product: Product, name: str) -> None:
    """To be asked in the transaction that would enable it.

    Raises:
        Conflict: the source has blocked the patchset.
    """
    key = Patchset.key(product.name, name)
    if Offer.get_or_none(Offer.id == key, Offer.state == BLOCKED) is not None:
        raise Conflict(f"{name} is blocked by the patch source and cannot be enabled.")


def fitting(product: Product, feed: Feed) -> list[Offer]:
    """What is listed and may come to ``feed``, oldest first: its channel, and not blocked."""
    channels = set(CHANNELS[: CHANNELS.index(feed.channel) + 1])
    everything = feed.channel == CHANNELS[-1]
    rows = (
        Offer.select()
        .where(Offer.product == product.name, Offer.listed, Offer.state != BLOCKED)
        .order_by(Offer.position, Offer.name)
    )
    return [row for row in rows if everything or channels.intersection(row.channels)]


def wanted(portal: Portal, product: Product, feeds: Collection[Feed]) -> list[Offer]:
    """What some feed may have and this portal is to fetch, oldest first; it may be here already.

    ``PATCH_SOURCE_DISTROS`` chooses for the product of the check-in, ``LIMIT_PATCHSETS`` for all.
    """
    limit = portal.config["LIMIT_PATCHSETS"]
    distros = set(portal.config["PATCH_SOURCE_DISTROS"] or ()) if product.checkin else set()
    chosen: dict[str, Offer] = {}
    for feed in feeds:
        rows = [
            row
            for row in fitting(product, feed)
            if not distros or not row.distros or distros.intersection(row.distros)
        ]
        chosen.update((row.id, row) for row in (rows if limit is None else rows[-limit:]))
    return sorted(chosen.values(), key=lambda row: (row.position, row.name))


def fresh(portal: Portal, product: Product, feeds: Collection[Feed]) -> list[Offer]:
    """As ``wanted``, without what is here."""
    here = {key for (key,) in db.rows(Patchset.select(Patchset.id))}
    return [row for row in wanted(portal, product, feeds) if row.id not in here]


def _carried(portal: Portal) -> Path:
    return portal.config.data_dir / "source" / "carried"


def _rows(portal: Portal, found: Sequence[layout.Offer]) -> Iterator[tuple[str, Offer]]:
    """Each usable offer as the row that it would be, if it were new."""
    specs = {product: store.spec for product, store in portal.stores().items()}
    appeared = now()
    for offer in found:
        spec = specs.get(offer.product)
        if spec is None:
            continue
        try:
            spec.check_name(offer.name)
        except ArchiveError as error:
            log.warning("The patch source lists what cannot be deployed: %s", error)
            continue
        key = Patchset.key(offer.product, offer.name)
        yield (
            key,
            Offer(
                id=key,
                product=offer.product,
                name=offer.name,
                position=spec.order(offer.name),
                released=offer.released,
                channels=list(offer.channels),
                distros=list(offer.distros),
                archive=offer.archive_name,
                size=offer.size,
                sha256=offer.sha256,
                state=offer.state,
                appeared=appeared,
            ),
        )


def _of_products(portal: Portal) -> Any:
    return Offer.product.in_(list(portal.products))


def _take(row: Offer, fresh: Offer) -> bool:
    """Bring ``row`` to what is listed now; whether anything was different."""
    values = {name: value for name, value in fresh.__data__.items() if name != "appeared"}
    if all(row.__data__[name] == value for name, value in values.items()):
        return False
    row.__data__.update(values)
    return True


def _write(fresh: Sequence[Offer], changed: Sequence[Offer]) -> None:
    for batch in peewee.chunked([row.__data__ for row in fresh], 50):
        Offer.insert_many(batch).execute()
    record(fresh)
    put_all(changed)


def _disable(blocked: Collection[str], lately: Collection[str]) -> list[tuple[str, Patchset]]:
    """Disable the ``blocked`` where they are enabled, and ``lately`` blocked ones in every feed."""
    patchsets = list(Patchset.select().where(Patchset.id.in_(list(blocked))))
    if not patchsets:
        return []
    rows = {
        (row.feed_id, row.patchset_id): row
        for row in FeedPatchset.select().where(FeedPatchset.patchset.in_(patchsets))
    }
    done = []
    for feed in Feed.select().order_by(Feed.name):
        for patchset in patchsets:
            row = rows.get((feed.name, patchset.id))
            if patchset.id in lately or (row is not None and row.state == ENABLED):
                before = {} if row is None else {patchset.id: row}
                if set_state([patchset], feed.name, DISABLED, before):
                    done.append((feed.name, patchset))
    return done
