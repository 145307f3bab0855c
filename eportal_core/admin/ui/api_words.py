"""The operations of the HTTP API as a page tells of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec

from eportal_core.admin.api import openapi
from eportal_core.admin.api.operation import Operation
from eportal_core.admin.api.routes import OPERATIONS

#: What follows ``/admin/api/``, up to where the operations of one thing differ.
_GROUP = re.compile(r"/admin/api/([\w-]+)")
_NAMED = {"string": "text", "integer": "whole number", "boolean": "true or false"}


@dataclass(frozen=True)
class Argument:
    """kind: what it takes, in words. note: whether it must be given, and where."""

    name: str
    kind: str
    note: str


@dataclass(frozen=True)
class Described:
    """more: further paragraphs. answers: the names of the shapes that it may have."""

    id: str
    method: str
    path: str
    summary: str
    more: tuple[str, ...]
    access: str
    arguments: tuple[Argument, ...]
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Shape:
    """What answers look like: fields with what they hold."""

    name: str
    text: str
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Reference:
    """groups: operations by what they are about."""

    groups: Mapping[str, tuple[Described, ...]]
    shapes: tuple[Shape, ...]


@cache
def described() -> Reference:
    groups: dict[str, list[Described]] = {}
    for operation in OPERATIONS:
        found = _GROUP.match(operation.path)
        groups.setdefault(found[1] if found else operation.path, []).append(_operation(operation))
    schemas = openapi.document(OPERATIONS, "", "")["components"]["schemas"]
    return Reference(
        {name: tuple(group) for name, group in groups.items()},
        tuple(_shape(name, schema) for name, schema in schemas.items()),
    )


def _operation(operation: Operation) -> Described:
    schemas, required, in_path = openapi.arguments_of(operation)
    summary, more = openapi.told(operation)
    return Described(
        operation.name,
        operation.method,
        operation.path,
        _plain(summary),
        _paragraphs(more),
        operation.access.value,
        tuple(
            Argument(name, _kind(schema), _note(schema, name in required, name in in_path))
            for name, schema in schemas.items()
        ),
        tuple(struct.__name__ for struct in operation.returns),
    )


def _shape(name: str, schema: Mapping[str, Any]) -> Shape:
    fields = tuple((field, _kind(each)) for field, each in schema["properties"].items())
    return Shape(name, _plain(schema.get("description", "")), fields)


def _note(schema: Mapping[str, Any], required: bool, in_path: bool) -> str:
    if in_path:
        return "in the path"
    if required:
        return "required"
    default = schema.get("default")
    return f"{msgspec.json.encode(default).decode()} unless given" if default else ""


def _kind(schema: Mapping[str, Any]) -> str:
    """A JSON schema in words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"] if each.get("type") != "null")
    if "enum" in schema:
        return ", ".join(str(value) for value in schema["enum"] if value != "")
    if schema.get("type") == "array":
        inner = _kind(schema["items"]) if schema.get("items") else "anything"
        return f"list of {inner}"
    found = _NAMED.get(schema.get("type", ""), schema.get("type", "anything"))
    bounds = [f"{schema[name]:,}" for name in ("minimum", "maximum") if name in schema]
    return f"{found} from {' to '.join(bounds)}" if len(bounds) == 2 else str(found)


def _paragraphs(text: str) -> tuple[str, ...]:
    return tuple(_plain(part) for part in text.split("\n\n") if part.strip())


def _plain(text: str) -> str:
    """On one line, without the marks of reStructuredText."""
    return " ".join(text.replace("``", "").split())
