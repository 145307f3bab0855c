"""The frame of the HTTP API: arguments of every shape, and what an operation says of itself."""

from __future__ import annotations

from typing import Annotated

import msgspec
import pytest

from eportal_core.admin.api.openapi import document
from eportal_core.admin.api.operation import arguments_of
from eportal_core.admin.api.routes import OPERATIONS
from eportal_core.errors import InvalidValue


class Wanted(msgspec.Struct, frozen=True):
    limit: Annotated[int, msgspec.Meta(ge=1)] = 10
    only_count: bool = False
    feed: list[str] | None = None
    note: str | None = None


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({}, Wanted()),
        ({"limit": ["5"], "only_count": ["true"]}, Wanted(5, True)),
        ({"limit": [5], "only_count": [True]}, Wanted(5, True)),
        ({"limit": ["1", "7"]}, Wanted(7)),
        ({"limit": [""], "only_count": [""]}, Wanted()),
        ({"note": [""]}, Wanted(note="")),
        ({"feed": ["a", "", "b"]}, Wanted(feed=["a", "b"])),
        ({"feed": [""]}, Wanted()),
        ({"other": ["x"]}, Wanted()),
    ],
)
def test_arguments_become_what_the_operation_takes(
    values: dict[str, list[object]], wanted: Wanted
) -> None:
    assert arguments_of(Wanted, values) == wanted


@pytest.mark.parametrize("values", [{"limit": ["many"]}, {"limit": ["0"]}, {"only_count": ["x"]}])
def test_what_is_no_value_is_named(values: dict[str, list[object]]) -> None:
    with pytest.raises(InvalidValue, match=next(iter(values))):
        arguments_of(Wanted, values)


def test_the_document_has_every_operation() -> None:
    paths = document(OPERATIONS, "1", "X-Api-Key")["paths"]
    assert sum(map(len, paths.values())) == len(OPERATIONS)
