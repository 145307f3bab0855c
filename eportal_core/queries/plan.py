"""How servers are counted and found: by the narrowest condition, or in the order of the list.

A database that knows nothing of the data guesses; here the conditions are counted first, which
their indexes do fast, and which a list needs anyway. Then either the few that one condition finds
are looked at one by one and sorted (``gathered``), or the list is read in its order until enough
of the many that match have come (``walked``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from eportal_core import db
from eportal_core.db import search
from eportal_core.queries.conditions import Condition, Values

#: From so many on, a text is looked for without its index.
_MANY = 20_000
_COUNT = "SELECT coalesce(sum(g.servers), 0) FROM"
_ALL = f"{_COUNT} fleet AS g"
#: How a group of ``fleet`` finds its servers again: by the index of kernel and level, and among
#: these by texts that may be empty as well as NULL.
_INDEXED = ("kernel_id", "patch_level")
_OF_GROUP = " AND ".join(
    f"f.{name} {search.SAME} nullif(g.{name}, {null})"
    if name in _INDEXED
    else f"coalesce(f.{name}, {null}) = g.{name}"
    for name, null in search.GROUPED.items()
)
_JOIN_CHECKIN = "CROSS JOIN checkin AS c ON c.server = f.server"


@dataclass(frozen=True)
class Source:
    """Where to start: FROM and WHERE with their values, and how many servers come from there."""

    size: int
    tables: str
    tests: tuple[str, ...]
    values: Values
    #: Conditions that still have to be asked of each.
    left: tuple[Condition, ...]


class Plan:
    """Servers that meet all ``conditions``. Use it in one ``db.snapshot``.

    known: how many these are, when that was counted already.
    """

    def __init__(self, conditions: Sequence[Condition], known: int | None = None) -> None:
        self._known = known
        self._grouped = tuple(each for each in conditions if each.is_grouped)
        self._single = tuple(each for each in conditions if not each.is_grouped)
        self._sizes: dict[int, int] = {}
        if known is not None and self._single and len(conditions) == 1:
            self._sizes[id(self._single[0])] = known

    @cached_property
    def count(self) -> int:
        """How many there are."""
        if self._known is not None:
            return self._known
        common = self._common
        if common is not None and common.opposite is not None:
            # Most meet it: it is faster to count those that do not.
            others = [*self._grouped, *(each for each in self._single if each is not common)]
            return Plan(others).count - Plan([*others, common.opposite]).count
        source = self.source
        if source.size == 0 or not source.left:
            return source.size
        tables, tests, values = gathered(source, needs_checkin=False)
        return number(f"SELECT count(*) FROM {tables}{where(tests)}", values)

    @property
    def is_of_all(self) -> bool:
        """Whether nothing is asked of the servers."""
        return not self._grouped and not self._single

    def range_of(self, column: str) -> Condition | None:
        """A condition that is a range of this column, and so of its index."""
        return next((each for each in self._single if each.column == column), None)

    @cached_property
    def _common(self) -> Condition | None:
        """One of several conditions, that most servers meet, and whose opposite can be asked."""
        if len(self._grouped) + len(self._single) < 2:
            return None
        return next(
            (
                each
                for each in self._single
                if each.opposite is not None and 2 * self.size(each) > self.about
            ),
            None,
        )

    @cached_property
    def total(self) -> int:
        """How many servers there are at all."""
        return number(_ALL)

    @cached_property
    def about(self) -> int:
        """How many there are at most, known at once; those that were removed count in part."""
        newest, oldest = "(SELECT max(number) FROM facts)", "(SELECT min(number) FROM facts)"
        return number(f"SELECT coalesce({newest} - {oldest} + 1, 0)")

    @cached_property
    def source(self) -> Source:
        """The narrowest of the conditions."""
        sources = [self._by_condition(each) for each in self._single]
        if self._grouped or not sources:
            sources.append(self._by_group())
        return min(sources, key=lambda source: source.size)

    def walked(self, tables: str, *, has_checkin: bool) -> tuple[str, list[str], list[Any]]:
        """FROM, tests and values of all servers in the order of ``tables``, each asked for all."""
        asked = (*self._grouped, *self._single)
        if not has_checkin and any(each.needs_checkin for each in asked):
            tables = f"{tables} {_JOIN_CHECKIN}"
        return tables, *_tests(asked)

    def _by_condition(self, condition: Condition) -> Source:
        column = "server" if condition.by_id else "number"
        tables = f"({condition.found}) AS d CROSS JOIN facts AS f ON f.{column} = d.{column}"
        others = tuple(each for each in self._single if each is not condition)
        size, left = self.size(condition), (*self._grouped, *others)
        return Source(size, tables, (), condition.found_values, left)

    def size(self, condition: Condition) -> int:
        """How many meet one condition."""
        if id(condition) not in self._sizes:
            self._sizes[id(condition)] = self._all_but(condition) or _size(condition)
        return self._sizes[id(condition)]

    def _all_but(self, condition: Condition) -> int:
        """How many meet it, by the others, if those are fewer and can be asked for; else 0."""
        if (opposite := condition.opposite) is None:
            return 0
        few = self.about // 2
        others = number(
            f"SELECT count(*) FROM ({opposite.found} LIMIT ?) AS d",
            (*opposite.found_values, few + 1),
        )
        return self.total - others if others <= few else 0

    def _by_group(self) -> Source:
        tests, values = _tests(self._grouped, "g")
        tables = f"fleet AS g CROSS JOIN facts AS f ON f.key = g.key AND {_OF_GROUP}"
        return Source(self._size_of_groups(), tables, tuple(tests), tuple(values), self._single)

    def _size_of_groups(self) -> int:
        joined = next((each for each in self._grouped if each.groups), None)
        if joined is None:
            tests, values = _tests(self._grouped, "g")
            return number(f"{_ALL}{where(tests)}", values)
        tests, values = _tests([each for each in self._grouped if each is not joined], "g")
        return number(f"{_COUNT} {joined.groups}{where(tests)}", [*joined.values, *values])


def _size(condition: Condition) -> int:
    """A text that very many have is counted sooner by a look at each than by the text index."""
    if condition.counted:
        return number(condition.counted, condition.found_values)
    if condition.scan:
        few = number(
            f"SELECT count(*) FROM ({condition.found} LIMIT ?) AS d",
            (*condition.found_values, _MANY),
        )
        if few < _MANY:
            return few
        return number(f"SELECT count(*) FROM ({condition.scan}) AS d", condition.values)
    return number(f"SELECT count(*) FROM ({condition.found}) AS d", condition.found_values)


def gathered(source: Source, *, needs_checkin: bool) -> tuple[str, list[str], list[Any]]:
    """FROM, tests and values of what ``source`` finds, asked for what is left."""
    tables = source.tables
    if needs_checkin or any(each.needs_checkin for each in source.left):
        tables = f"{tables} {_JOIN_CHECKIN}"
    tests, values = _tests(source.left)
    return tables, [*source.tests, *tests], [*source.values, *values]


def _tests(conditions: Sequence[Condition], table: str = "f") -> tuple[list[str], list[Any]]:
    return (
        [each.test.format(t=table) for each in conditions],
        [value for each in conditions for value in each.values],
    )


def where(tests: Sequence[str]) -> str:
    """WHERE, or nothing."""
    return f" WHERE {' AND '.join(tests)}" if tests else ""


def number(statement: str, values: Sequence[Any] = ()) -> int:
    """The one number that a statement returns."""
    ((number,),) = db.fetch(statement, values)
    return int(number)
