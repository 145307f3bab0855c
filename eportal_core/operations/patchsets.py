"""Deploy, enable, disable and withdraw patchsets."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from eportal_core import db
from eportal_core.errors import InvalidValue, NotFound
from eportal_core.models import (
    DISABLED,
    ENABLED,
    MAIN,
    FeedPatchset,
    Level,
    Patchset,
    now,
)
from eportal_core.operations import feeds
from eportal_core.operations.names import is_plain, told
from eportal_core.portal import Portal
from eportal_core.types import Event, Product, Release

log = logging.getLogger("eportal.patches")


def get(product: Product, name: str) -> Patchset:
    """The patchset of this product and name.

    Raises:
        NotFound: it is not deployed here.
    """
    patchset = Patchset.get_or_none(id=f"{product.name}/{name}") if is_plain(name) else None
    if patchset is None:
        raise NotFound(f"There is no {product.title} patchset {told(name)}.")
    return patchset


def deploy(
    portal: Portal, product: Product, archive: Path, *, feed: str = MAIN, enable: bool = True
) -> Patchset:
    """Check, store and publish an archive, then enable it in ``feed``, or disable it there.

    Deploying the same archive again changes nothing but its state in the feed.

    Raises:
        NotFound: there is no such feed.
        ArchiveError: the archive is refused; nothing of it is kept.
        StorageError: the disk refused; nothing of it is kept.
    """
    feeds.get(feed)
    with portal.storage.exclusive():
        release = portal.hook.eportal_deploy(portal=portal, product=product.name, archive=archive)
        if release is None:
            raise InvalidValue(f"{product.title} is not made of archives.")
        with db.database.atomic():
            patchset = _store(product, release)
            changed = _set_state([patchset], feeds.get(feed).name, ENABLED if enable else DISABLED)
    _tell(portal, changed, [patchset], feed, "enabled" if enable else "disabled")
    return patchset


def enable(portal: Portal, product: Product, name: str, feed: str) -> None:
    """Enable one patchset in ``feed``."""
    _apply(portal, feed, ENABLED, lambda: [get(product, name)])


def disable(portal: Portal, product: Product, name: str, feed: str) -> None:
    """Disable one patchset in ``feed``: automatic and mass enabling will skip it."""
    _apply(portal, feed, DISABLED, lambda: [get(product, name)])


def enable_upto(portal: Portal, product: Product, name: str, feed: str) -> None:
    """Enable ``name`` and everything older, except what is disabled in ``feed``."""

    def wanted() -> list[Patchset]:
        last = get(product, name)
        return [
            patchset
            for patchset in all_of(product)
            if patchset.position <= last.position and state_in(patchset, feed) != DISABLED
        ]

    _apply(portal, feed, ENABLED, wanted)


def undeploy_downto(portal: Portal, product: Product, name: str, feed: str) -> None:
    """Take ``name`` and everything newer out of ``feed``; disabled ones stay disabled."""

    def wanted() -> list[Patchset]:
        first = get(product, name)
        return [
            patchset
            for patchset in reversed(all_of(product))
            if patchset.position >= first.position and state_in(patchset, feed) == ENABLED
        ]

    _apply(portal, feed, None, wanted)


def unroll(portal: Portal, product: Product, name: str, *, delete: bool = False) -> None:
    """Take a patchset out of every feed; with ``delete``, remove its archive and files too.

    Raises:
        NotFound: it is not deployed here.
    """
    with portal.storage.exclusive():
        patchset = get(product, name)
        portal.hook.eportal_unroll(
            portal=portal, product=product.name, patchset=name, delete=delete
        )
        with db.database.atomic():
            states = list(FeedPatchset.select().where(FeedPatchset.patchset == patchset))
            for state in states:
                state.drop()
            if delete:
                patchset.drop()
    for state in states:
        log.info("%s was undeployed from %s", name, state.feed_id)
        portal.announce(Event("patchset.undeployed", patchset.id, state.feed_id))
    if delete:
        log.info("%s was deleted", name)
        portal.announce(Event("patchset.deleted", patchset.id))


def obsolete(product: Product) -> list[Patchset]:
    """Patchsets that no feed needs: for each of their targets, every feed is past them.

    A feed is past a patchset when it has a higher level for the target, or the same level from a
    newer patchset. Feeds that do not patch the target do not count, but at least one must.
    """
    newest: dict[str, dict[str, tuple[int, str]]] = {}
    enabled = (
        FeedPatchset.select(FeedPatchset.feed, Level.target, Level.level, Patchset.position)
        .join_from(FeedPatchset, Patchset)
        .join_from(FeedPatchset, Level, on=(FeedPatchset.patchset == Level.patchset))
        .where(FeedPatchset.state == ENABLED, Patchset.product == product.name)
    )
    for feed, target, level, position in db.rows(enabled):
        feeds_of_target = newest.setdefault(target, {})
        feeds_of_target[feed] = max(feeds_of_target.get(feed, (0, "")), (level, position))

    def is_past(target: str, level: int, position: str) -> bool:
        return min(newest.get(target, {}).values(), default=(0, "")) > (level, position)

    return [
        patchset
        for patchset in all_of(product)
        if all(
            is_past(row.target, row.level, patchset.position)
            for row in Level.select().where(Level.patchset == patchset)
        )
    ]


def clean(portal: Portal, product: Product, *, dry_run: bool) -> list[str]:
    """Delete the obsolete patchsets of a product; returns their names."""
    names = [patchset.name for patchset in obsolete(product)]
    if not dry_run:
        for name in names:
            # Gone already when two clean at once.
            with suppress(NotFound):
                unroll(portal, product, name, delete=True)
    return names


def state_in(patchset: Patchset, feed: str) -> str | None:
    """``enabled``, ``disabled``, or None when it is not deployed to ``feed``."""
    row = FeedPatchset.get_or_none(feed=feed, patchset=patchset)
    return None if row is None else row.state


def all_of(product: Product) -> list[Patchset]:
    """Every patchset of the product, oldest first."""
    return list(
        Patchset.select()
        .where(Patchset.product == product.name)
        .order_by(Patchset.position, Patchset.name)
    )


def _store(product: Product, release: Release) -> Patchset:
    """The patchset's row; its levels are rows too, in the same transaction."""
    key = f"{product.name}/{release.name}"
    known = Patchset.get_or_none(id=key)
    if known is not None:
        return known
    patchset = Patchset.new(
        id=key,
        product=product.name,
        name=release.name,
        position=release.position,
        released=release.released,
        channels=release.channels,
        distros=release.distros,
        changelog=release.changelog,
        archive=release.archive,
        sha256=release.sha256,
        size=release.size,
    )
    rows = [
        (key, level.target, level.level, level.digest, level.distro, level.uname)
        for level in release.levels
    ]
    db.execute_many(
        "INSERT INTO level (patchset, target, level, digest, distro, uname)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        rows,
    )
    return patchset


def _apply(
    portal: Portal, feed: str, state: str | None, wanted: Callable[[], list[Patchset]]
) -> None:
    # Chosen in the transaction: nobody deletes one of them meanwhile.
    with db.database.atomic():
        patchsets = wanted()
        changed = _set_state(patchsets, feeds.get(feed).name, state)
    word = state or "undeployed"
    _tell(portal, changed, patchsets, feed, word)


def _set_state(patchsets: Sequence[Patchset], feed: str, state: str | None) -> list[Patchset]:
    """Returns those whose state is another now; None is undeployed."""
    changed = []
    for patchset in patchsets:
        row = FeedPatchset.get_or_none(feed=feed, patchset=patchset)
        if state is None:
            if row is not None:
                row.drop()
                changed.append(patchset)
        elif row is None:
            FeedPatchset.new(feed=feed, patchset=patchset, state=state)
            changed.append(patchset)
        elif row.state != state:
            row.state, row.since = state, now()
            row.put()
            changed.append(patchset)
    return changed


def _tell(
    portal: Portal,
    changed: Sequence[Patchset],
    patchsets: Sequence[Patchset],
    feed: str,
    word: str,
) -> None:
    preposition = "from" if word == "undeployed" else "in"
    for patchset in patchsets:
        if patchset in changed:
            log.info("%s was %s %s %s", patchset.name, word, preposition, feed)
            portal.announce(Event(f"patchset.{word}", patchset.id, feed))
        else:
            log.info("%s is already %s %s %s", patchset.name, word, preposition, feed)
