"""Deploy, enable, disable and withdraw patchsets."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from eportal_core import db
from eportal_core.errors import ArchiveError, Conflict, InvalidValue, NotFound, PluginError
from eportal_core.models import (
    DISABLED,
    ENABLED,
    MAIN,
    UNDEPLOYED,
    FeedPatchset,
    Level,
    Patchset,
)
from eportal_core.operations import feeds, offers
from eportal_core.operations.names import is_plain, told
from eportal_core.operations.states import others, set_state, states_in, tell
from eportal_core.patchsets.spec import SAFE_SEGMENT
from eportal_core.portal import Portal
from eportal_core.types import Event, Product, Release

log = logging.getLogger("eportal.patches")


def get(product: Product, name: str) -> Patchset:
    """The patchset of this product and name.

    Raises:
        NotFound: it is not deployed here.
    """
    key = Patchset.key(product.name, name)
    patchset = Patchset.get_or_none(id=key) if is_plain(name) else None
    if patchset is None:
        raise NotFound(f"There is no {product.title} patchset {told(name)}.")
    return patchset


def deploy(
    portal: Portal, product: Product, archive: Path, *, feed: str = MAIN, enable: bool = True
) -> Patchset:
    """Check, store and publish an archive, then enable it in ``feed``, or disable it there.

    Deploying the same archive again changes nothing but its state in the feed.

    Raises:
        NotFound: there is no such feed, or no such file.
        ArchiveError: the archive is refused; nothing of it is kept.
        Conflict: the patch source has blocked it, so it cannot be enabled; nothing of it is kept.
        StorageError: the disk refused; nothing of it is kept.
    """
    feeds.get(feed)
    state = ENABLED if enable else DISABLED
    with portal.storage.exclusive():
        release = _published(portal, product, archive)
        with db.database.atomic():
            if enable:
                offers.refuse_blocked(product, release.name)
            patchset = _store(portal, product, release)
            rows = states_in(product.name, feeds.get(feed).name)
            changed = set_state([patchset], feed, state, rows)
    tell(portal, changed, [patchset], feed, state)
    return patchset


def receive(portal: Portal, product: Product, archive: Path, sha256: str) -> Patchset:
    """Check, store and publish an archive, and leave every feed as it is.

    sha256: of the archive, in hex, as it has to be.

    Raises:
        NotFound: there is no such file.
        ArchiveError: it is another archive, or it is refused; nothing of it is kept.
        StorageError: the disk refused; nothing of it is kept.
    """
    with portal.storage.exclusive():
        release = _published(portal, product, archive)
        if release.sha256 != sha256:
            raise ArchiveError(f"{archive.name} has other bytes than its sha256 says.")
        with db.database.atomic():
            return _store(portal, product, release)


def enable(portal: Portal, product: Product, name: str, feed: str) -> None:
    """Enable one patchset in ``feed``.

    Raises:
        NotFound: it is not here, or there is no such feed.
        Conflict: the patch source has blocked it.
    """
    manage(portal, product, name, {feed: "enable"})


def disable(portal: Portal, product: Product, name: str, feed: str) -> None:
    """Disable one patchset in ``feed``: automatic and mass enabling will skip it."""
    manage(portal, product, name, {feed: "disable"})


def enable_upto(portal: Portal, product: Product, name: str, feed: str) -> None:
    """Enable ``name`` and everything older, except what is disabled in ``feed`` or blocked.

    What the patch source has disabled is left to those who enable it by name.
    """
    manage(portal, product, name, {feed: "enable-upto"})


def undeploy_downto(portal: Portal, product: Product, name: str, feed: str) -> None:
    """Take ``name`` and everything newer out of ``feed``; disabled ones stay disabled."""
    manage(portal, product, name, {feed: "undeploy-downto"})


def manage(
    portal: Portal, product: Product, name: str, actions: Mapping[str, str], *, mark: str = ""
) -> dict[str, int]:
    """Do in each feed what ``actions`` says, one of ``ACTIONS``: in all of them, or in none.

    mark: of the ``Planned`` that somebody was shown and agreed to; empty when nobody was. Returns
    how many patchsets have another state now, by feed.

    Raises:
        NotFound: it is not here, or there is no such feed.
        Conflict: the patch source has blocked it, or what was shown is not what would be done.
    """
    # Chosen in the transaction: nobody deletes one of them meanwhile.
    with db.database.atomic():
        plans = planned(product, name, actions)
        if mark and mark != mark_of(plans):
            raise Conflict(f"Somebody changed the feeds meanwhile, and nothing of {name} was done.")
        changed = [set_state(each.patchsets, each.feed, each.state, each.rows) for each in plans]
    for plan, ids in zip(plans, changed, strict=True):
        _tell(portal, product, plan, ids)
    return {plan.feed: len(ids) for plan, ids in zip(plans, changed, strict=True)}


@dataclass(frozen=True)
class Planned:
    """What is to be done in a feed: ``patchsets`` come to ``state``, whatever state they have.

    named: the one that was named. rows: the states of before, by patchset.
    """

    feed: str
    state: str
    named: Patchset
    patchsets: Sequence[Patchset]
    rows: Mapping[str, FeedPatchset]

    @property
    def changed(self) -> list[Patchset]:
        """Those that have another state."""
        return others(self.patchsets, self.state, self.rows)


def planned(product: Product, name: str, actions: Mapping[str, str]) -> list[Planned]:
    """What ``manage`` does with these arguments; the caller holds the transaction, or a snapshot.

    Raises:
        NotFound, Conflict: as from ``manage``.
        InvalidValue: there is no such action.
    """
    named = get(product, name)
    plans = []
    for feed, action in actions.items():
        if action not in ACTIONS:
            raise InvalidValue(f"{told(action)} is none of {', '.join(ACTIONS)}.")
        state, choose = ACTIONS[action]
        rows = states_in(product.name, feeds.get(feed).name)
        states = {patchset: row.state for patchset, row in rows.items()}
        plans.append(Planned(feed, state, named, choose(product, named, states), rows))
    return plans


def mark_of(plans: Sequence[Planned]) -> str:
    """A text that is another one whenever something else would be done."""
    done = [(plan.feed, plan.state, [each.id for each in plan.changed]) for plan in plans]
    return hashlib.sha256(repr(done).encode()).hexdigest()[:20]


def unroll(portal: Portal, product: Product, name: str, *, delete: bool = False) -> None:
    """Take a patchset out of every feed; with ``delete``, remove its archive and files too.

    Raises:
        NotFound: it is not deployed here.
        InvalidValue: no plugin answers for the product.
        StorageError: what it published is not known, or the disk refused; nothing has changed.
    """
    _unroll(portal, product, name, delete=delete, only_if=lambda patchset: True)


def _unroll(
    portal: Portal,
    product: Product,
    name: str,
    *,
    delete: bool,
    only_if: Callable[[Patchset], bool],
) -> bool:
    """Whether it was done: ``only_if`` is asked in the transaction that does it."""
    with portal.storage.exclusive():
        patchset = get(product, name)
        published = portal.ask(
            "eportal_unroll", portal=portal, product=product.name, patchset=name, delete=delete
        )
        if published is None:
            raise InvalidValue(f"No plugin takes back a patchset of {product.title}.")
        if delete:
            portal.storage.journal(portal.storage.workspace(), published)
        with db.database.atomic():
            if not only_if(patchset):
                return False
            states = list(FeedPatchset.select().where(FeedPatchset.patchset == patchset))
            for state in states:
                state.drop()
            if delete:
                patchset.drop()
    for state in states:
        tell(portal, {patchset.id}, [patchset], state.feed_id, UNDEPLOYED)
    if delete:
        log.info("%s was deleted", name)
        portal.announce(Event("patchset.deleted", patchset.id))
    elif not states:
        log.info("%s is in no feed", name)
    return True


def obsolete(product: Product) -> list[Patchset]:
    """Patchsets that no feed needs: for each of their targets, every feed is past them.

    A feed is past a patchset when it has a higher level for the target, or the same level from a
    newer patchset. Feeds that do not patch the target do not count, but at least one must.
    """
    return _obsolete_of(product, all_of(product))


def _obsolete_of(product: Product, patchsets: Sequence[Patchset]) -> list[Patchset]:
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
        for patchset in patchsets
        if all(
            is_past(row.target, row.level, patchset.position)
            for row in Level.select().where(Level.patchset == patchset)
        )
    ]


def clean(portal: Portal, product: Product, *, dry_run: bool) -> list[str]:
    """Delete the obsolete patchsets of a product; returns their names.

    What the patch source lists stays: it would be fetched again.
    """
    listed = offers.listed(portal, product)
    names = [patchset.name for patchset in obsolete(product) if patchset.id not in listed]
    return names if dry_run else [name for name in names if _clean_one(portal, product, name)]


def _clean_one(portal: Portal, product: Product, name: str) -> bool:
    """Whether it was deleted: a feed may have got it, or another clean it, since one looked."""

    def still_obsolete(patchset: Patchset) -> bool:
        is_listed = patchset.id in offers.listed(portal, product)
        return not is_listed and bool(_obsolete_of(product, [patchset]))

    try:
        return _unroll(portal, product, name, delete=True, only_if=still_obsolete)
    except NotFound:
        return False


def all_of(product: Product) -> list[Patchset]:
    """Every patchset of the product, oldest first."""
    return list(
        Patchset.select()
        .where(Patchset.product == product.name)
        .order_by(Patchset.position, Patchset.name)
    )


def _published(portal: Portal, product: Product, archive: Path) -> Release:
    """What the product's plugin put in place; the caller holds the storage lock."""
    release: Release | None = portal.ask(
        "eportal_deploy", portal=portal, product=product.name, archive=archive
    )
    if release is None:
        raise InvalidValue(f"No plugin deploys {product.title}.")
    if not (
        isinstance(release, Release)
        and isinstance(release.name, str)
        and SAFE_SEGMENT.fullmatch(release.name)
    ):
        raise PluginError(
            f"The plugin of {product.title} answers eportal_deploy with what is no Release, or "
            f"one whose name is no word."
        )
    return release


def _store(portal: Portal, product: Product, release: Release) -> Patchset:
    """The patchset's row; its levels are rows too, in the same transaction.

    Raises:
        PluginError: what was published is not what the release has, and would be swept away.
    """
    patchset = _row(product, release)
    for entry in portal.storage.unowned():
        of_target = f", level {entry.level} of {entry.target}" if entry.target else ""
        raise PluginError(
            f"The plugin of {product.title} journalled {entry.patchset}{of_target}, and its "
            f"release is {patchset.id} without that; nothing of it is kept."
        )
    return patchset


def _row(product: Product, release: Release) -> Patchset:
    key = Patchset.key(product.name, release.name)
    known = Patchset.get_or_none(id=key)
    if known is not None:
        if release.archive and not known.archive:
            # Its files came when they were asked for; now all of them are here.
            known.archive = release.archive
            known.put()
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
        (key, level.target, level.level, level.digest, level.distro, level.uname, level.name)
        for level in release.levels
    ]
    db.execute_many(
        "INSERT INTO level (patchset, target, level, digest, distro, uname, name)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    return patchset


def _one_to_enable(product: Product, named: Patchset, states: Mapping[str, str]) -> list[Patchset]:
    offers.refuse_blocked(product, named.name)
    return [named]


def _one(product: Product, named: Patchset, states: Mapping[str, str]) -> list[Patchset]:
    return [named]


def _all_upto(product: Product, named: Patchset, states: Mapping[str, str]) -> list[Patchset]:
    skipped = offers.overrule(product, states)
    return [
        patchset
        for patchset in all_of(product)
        if patchset.position <= named.position
        and skipped.get(patchset.id, UNDEPLOYED) in (UNDEPLOYED, ENABLED)
    ]


def _all_downto(product: Product, named: Patchset, states: Mapping[str, str]) -> list[Patchset]:
    return [
        patchset
        for patchset in reversed(all_of(product))
        if patchset.position >= named.position and states.get(patchset.id) == ENABLED
    ]


#: Chooses patchsets, given the one that is named and the states of all in a feed, by patchset.
Choose: TypeAlias = Callable[[Product, Patchset, Mapping[str, str]], list[Patchset]]
#: What can be done in a feed: the state that patchsets come to, and which of them.
ACTIONS: Mapping[str, tuple[str, Choose]] = {
    "enable-upto": (ENABLED, _all_upto),
    "enable": (ENABLED, _one_to_enable),
    "disable": (DISABLED, _one),
    "undeploy-downto": (UNDEPLOYED, _all_downto),
}


def _tell(portal: Portal, product: Product, plan: Planned, changed: Set[str]) -> None:
    tell(portal, changed, plan.patchsets, plan.feed, plan.state)
    if plan.named in plan.patchsets:
        return
    states = {patchset: row.state for patchset, row in plan.rows.items()}
    skipped = offers.overrule(product, states)
    if plan.named.id in skipped:
        state = skipped[plan.named.id]
        log.info("%s is %s in %s and was skipped", plan.named.name, state, plan.feed)
    else:
        tell(portal, set(), [plan.named], plan.feed, plan.state)
