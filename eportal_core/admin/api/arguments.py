"""The arguments of a call as the struct that its operation takes, whatever form they came in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec

from eportal_core.errors import InvalidValue

T = TypeVar("T", bound=msgspec.Struct)

#: What msgspec says of arguments: that one is missing, where another is wrong, and its bound.
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_PLACE = re.compile(r" - at `\$\.(\w+)")
_BOUND = re.compile(r" [<>]=? -?\d+")
_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    datetime: "a time such as 2026-11-22T09:30:00Z",
    list: "a list of texts",
    str: "a text",
}


def arguments_of(takes: type[T], values: Mapping[str, Sequence[Any]]) -> T:
    """``values`` as the struct ``takes``; what it does not know is let be.

    Of a name that stands twice, the last counts unless the field is a list. An empty text stands
    for nothing, but where a field is a text; and so does null.

    Raises:
        InvalidValue: one is missing, or is no value of its field; the sentence names it.
    """
    given: dict[str, Any] = {}
    for field in msgspec.structs.fields(takes):
        sent = values.get(field.encode_name)
        found = [value for value in sent or () if value is not None]
        kinds = _kinds(field.type)
        if list in kinds:
            found = [value for value in found if value != ""]
            # A list of nothing is one; a name with nothing behind it is not.
            if found or (sent is not None and not sent):
                given[field.encode_name] = found
        elif found and (found[-1] != "" or str in kinds):
            given[field.encode_name] = found[-1]
    try:
        return msgspec.convert(given, takes, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidValue(_sentence(takes, str(error))) from None


def _kinds(hint: Any) -> set[Any]:
    """The types that a field takes: ``{list, NoneType}`` for ``list[str] | None``."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _kinds(get_args(hint)[0])
    if origin in (Union, UnionType):
        return set().union(*(_kinds(part) for part in get_args(hint)))
    # A Literal is kept whole, with its values.
    return {list if origin in (list, tuple) else hint}


def _sentence(takes: type[msgspec.Struct], told: str) -> str:
    """msgspec's words, ``Expected `int`, got `str` - at `$.limit```, as a sentence of ours."""
    if missing := _MISSING.fullmatch(told):
        return f"{missing[1]} is missing."
    found = _PLACE.search(told)
    hints = {field.encode_name: field.type for field in msgspec.structs.fields(takes)}
    if found is None or found[1] not in hints:
        return f"{told}."
    bound = _BOUND.search(told)
    return f"{found[1]} must be {_wanted(hints[found[1]])}{bound[0] if bound else ''}."


def _wanted(hint: Any) -> str:
    kinds = _kinds(hint)
    if choices := [value for kind in kinds for value in get_args(kind)]:
        return f"one of {', '.join(map(str, choices))}"
    return next((words for kind, words in _WORDS.items() if kind in kinds), "another value")
