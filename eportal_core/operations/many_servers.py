"""Tag and move any number of servers, a few hundred in each transaction.

Check-ins wait for one lot and not for all. What was done stays done when it ends early.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from eportal_core.errors import InvalidValue, KeyFull
from eportal_core.models import Key
from eportal_core.operations import keys, servers
from eportal_core.operations.names import check_tags
from eportal_core.portal import Portal

#: Servers of one transaction.
LOT = 200

#: Ids of servers, lot by lot; each lot is looked for when the one before was done.
Lots = Iterator[Sequence[str]]


def in_lots(ids: Sequence[str]) -> Lots:
    """``ids`` in lots."""
    return (ids[start : start + LOT] for start in range(0, len(ids), LOT))


def one_tag(text: str) -> str:
    """``text`` as one tag.

    Raises:
        InvalidValue: it is none, or several.
    """
    tag = check_tags(text)
    if tag is None or ";" in tag:
        raise InvalidValue("Write one tag, without a semicolon.")
    return tag


def some_tags(text: str) -> list[str]:
    """The tags in ``text``, which are separated by ``;``.

    Raises:
        InvalidValue: there is none, or they cannot be shown.
    """
    tags = check_tags(text)
    if tags is None:
        raise InvalidValue("Write at least one tag.")
    return tags.split(";")


def tagging(portal: Portal, lots: Lots, tags: Sequence[str]) -> Iterator[int]:
    """Add ``tags`` to those that servers have; yields how many servers each lot had.

    Raises:
        InvalidValue: a server would have too many; none of its lot is changed.
    """
    return _changed(portal, lots, lambda before: ";".join([before, *tags]))


def untagging(portal: Portal, lots: Lots, tags: Sequence[str]) -> Iterator[int]:
    """Take ``tags`` from servers; yields how many servers each lot had."""
    return _changed(portal, lots, lambda before: ";".join(_without(before, tags)))


def renaming(portal: Portal, lots: Lots, tag: str, name: str) -> Iterator[int]:
    """Servers that have ``tag`` get ``name`` in its place; yields how many each lot had."""

    def change(before: str) -> str:
        return ";".join(name if part == tag else part for part in before.split(";"))

    return _changed(portal, lots, change)


def check_places(key: str, more: int) -> Key:
    """The key, if ``more`` servers find a place there.

    Raises:
        NotFound: there is no such key.
        InvalidValue: it has no place for so many.
    """
    row = keys.get(key)
    there = servers.count_of(row)
    if row.server_limit and there + more > row.server_limit:
        raise InvalidValue(
            f"Key {row.key} has {there:,} of {row.server_limit:,} servers, and no place for "
            f"{more:,} more: raise its limit, or choose fewer servers."
        )
    return row


def moving(portal: Portal, lots: Lots, key: str) -> Iterator[int]:
    """Give servers another key; yields how many servers each lot had.

    Raises:
        NotFound: there is no such key.
        InvalidValue: it has no place for a lot; none of that is moved.
    """
    for lot in lots:
        try:
            yield servers.move(portal, lot, key)
        except KeyFull:
            raise InvalidValue(f"Key {key} is full: raise its limit.") from None


def _changed(portal: Portal, lots: Lots, change: Callable[[str], str]) -> Iterator[int]:
    return (servers.change_tags(portal, lot, change) for lot in lots)


def _without(before: str, tags: Sequence[str]) -> list[str]:
    return [part for part in before.split(";") if part not in tags]
