"""The query of the list of servers: which filters are used, as texts, and addresses with others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode

import msgspec

from eportal_core.admin.api.arguments import arguments_of
from eportal_core.admin.api.servers import Filters, ListArguments, wanted_of
from eportal_core.admin.ui.addresses import url
from eportal_core.admin.ui.visit import Visit
from eportal_core.errors import InvalidValue
from eportal_core.queries.server_filter import ServerFilter

LIST = "/servers"
#: Texts that all filters have together, and their characters: a page says each of them many times.
_TEXTS_MAX, _LENGTH_MAX = 50, 5000
#: Filters of the HTTP API, whatever they are.
FILTERS = tuple(field.name for field in msgspec.structs.fields(Filters))
_ORDER = ("sort", "order", "limit")

STATES = {
    "uptodate": "Up to date",
    "outofdate": "Behind",
    "unsupported": "Not supported",
    "inactive": "Silent",
}
_YES = {"true": "yes", "1": "yes", "false": "no", "0": "no"}


@dataclass(frozen=True)
class Chip:
    """A filter that is used; ``without`` is the address of the list without it."""

    name: str
    shown: str
    without: str


@dataclass(frozen=True)
class Query:
    """What a list was asked for: filters and order, each with its texts; no place in it."""

    given: Mapping[str, Sequence[str]]

    @staticmethod
    def of(values: Mapping[str, Sequence[Any]]) -> Query:
        """The filters and the order among ``values``; what is empty is not asked for.

        Raises:
            InvalidValue: there is too much of it for a page.
        """
        found = {
            name: [str(value) for value in values.get(name, ()) if value not in ("", None)]
            for name in (*FILTERS, *_ORDER)
        }
        texts = [text for each in found.values() for text in each]
        if len(texts) > _TEXTS_MAX or sum(map(len, texts)) > _LENGTH_MAX:
            raise InvalidValue(
                f"A page filters by {_TEXTS_MAX} values and {_LENGTH_MAX} characters at most; the "
                f"HTTP API takes more."
            )
        return Query({name: texts for name, texts in found.items() if texts})

    @staticmethod
    def parse(text: str) -> Query:
        """What ``encoded`` made. Raises: InvalidValue: as from ``of``."""
        return Query.of(parse_qs(text))

    @property
    def encoded(self) -> str:
        return urlencode(self.given, doseq=True)

    @property
    def filters(self) -> dict[str, Sequence[str]]:
        return {name: texts for name, texts in self.given.items() if name in FILTERS}

    def text(self, name: str) -> str:
        return self.given[name][-1] if name in self.given else ""

    def wanted(self, visit: Visit) -> ServerFilter:
        """Raises: InvalidValue: a filter is no value of its kind."""
        arguments = arguments_of(Filters, self.filters)
        assert isinstance(arguments, Filters)
        return wanted_of(visit.call, arguments)

    def ordered(self) -> ListArguments:
        """The order. Raises: InvalidValue: there is no such one."""
        order = {name: texts for name, texts in self.given.items() if name in _ORDER}
        arguments = arguments_of(ListArguments, order)
        assert isinstance(arguments, ListArguments)
        return arguments

    def address(self, path: str = LIST, **changes: str) -> str:
        """The address of the beginning of the same list, with ``changes``; an empty one is none."""
        query = {**self.given, **{name: [text] for name, text in changes.items()}}
        return url(
            path, **{name: [text for text in texts if text] for name, texts in query.items()}
        )

    def without(self, name: str, text: str) -> str:
        """The address of the same list without one text of a filter."""
        left = [each for each in self.given[name] if each != text]
        return url(LIST, **{**self.given, name: left})

    def chips(self) -> list[Chip]:
        return [
            Chip(name, _shown(name, text), self.without(name, text))
            for name, texts in self.filters.items()
            for text in texts
        ]


def _shown(name: str, text: str) -> str:
    if name == "state":
        return STATES.get(text, text)
    if name in ("active", "is_updated"):
        return _YES.get(text.lower(), text)
    if name.endswith("_age"):
        return f"at most {text[1:]}" if text.startswith("-") else f"more than {text}"
    return text
