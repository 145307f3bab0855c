"""The arguments of a call as the struct that its operation takes, whatever form they came in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec

from eportal_core.errors import InvalidValue

T = TypeVar("T", bound=msgspec.Struct)

#: Marks a list that means all when it is not named: named with nothing behind it, it is empty.
OR_EMPTY = "or empty"

#: What msgspec says of arguments: that one is missing, where another is wrong, and its bound.
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_PLACE = re.compile(r" - at `\$\.(\w+)")
_BOUND = re.compile(r" [<>]=? -?\d+")
_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list of texts",
    str: "a text",
}


def arguments_of(takes: type[T], values: Mapping[str, Sequence[Any]]) -> T:
    """``values`` as the struct ``takes``; what it does not know is let be.

    Of a name that stands twice, the last counts unless the field is a list. An empty text stands
    for nothing, but where a field is a text; and so does null. A name with nothing behind it is no
    list, but where the field is annotated with ``OR_EMPTY``.

    Raises:
        InvalidValue: one is missing, or is no value of its field; the sentence names it.
    """
    given: dict[str, Any] = {}
    for name, (kinds, is_marked) in _fields(takes).items():
        if name not in values:
            continue
        sent = values[name]
        found = [value for value in sent if value is not None]
        if list in kinds:
            found = [value for value in found if value != ""]
            if found or not sent or ("" in sent and is_marked):
                given[name] = found
        elif found and (found[-1] != "" or str in kinds):
            given[name] = found[-1]
    try:
        return msgspec.convert(given, takes, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidValue(_sentence(takes, str(error))) from None


@cache
def _fields(takes: type[msgspec.Struct]) -> dict[str, tuple[set[Any], bool]]:
    """Of each field its kinds, and whether it is marked with ``OR_EMPTY``."""
    return {
        field.encode_name: (_kinds(field.type), _is_marked(field.type))
        for field in msgspec.structs.fields(takes)
    }


def _kinds(hint: Any) -> set[Any]:
    """The types that a field takes: ``{list, NoneType}`` for ``list[str] | None``."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _kinds(get_args(hint)[0])
    if origin in (Union, UnionType):
        return set().union(*(_kinds(part) for part in get_args(hint)))
    # A Literal is kept whole, with its values.
    return {list if origin in (list, tuple) else hint}


def _is_marked(hint: Any) -> bool:
    return OR_EMPTY in getattr(hint, "__metadata__", ())


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
