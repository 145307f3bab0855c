"""The OpenAPI 3.1 document of the HTTP API, made of its operations. Source: spec.openapis.org."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from eportal_core.admin.api.operation import Access, NoArguments, Operation
from eportal_core.admin.cookies import COOKIE

_REFERENCE = "#/components/schemas/{name}"
_IN_PATH = re.compile(r"\{(\w+)(?::\w+)?\}")
_BODIES = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")


class Problem(msgspec.Struct, frozen=True):
    """What an error looks like: a code for programs and a sentence for people."""

    error: str
    detail: str


def document(operations: Sequence[Operation], version: str, header: str) -> dict[str, Any]:
    """The document; ``header`` is the name of the one that API keys come in."""
    shown: list[type[msgspec.Struct]] = [Problem]
    for operation in operations:
        shown += operation.returns
    names = [struct.__name__ for struct in set(shown)]
    assert len(set(names)) == len(names), "two answers have one name"
    _, schemas = msgspec.json.schema_components(shown, ref_template=_REFERENCE)
    for schema in schemas.values():
        if "description" in schema:
            schema["description"] = inspect.cleandoc(schema["description"])
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = _IN_PATH.sub(r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ePortal",
            "version": version,
            "description": "Arguments may come in the query, in a form or as JSON, as you like. "
            "Every path is also answered with a slash at its end.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "password": {"type": "http", "scheme": "basic"},
                "key": {"type": "apiKey", "in": "header", "name": header},
                "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            },
        },
    }


def arguments_of(operation: Operation) -> tuple[dict[str, Any], set[str], set[str]]:
    """Schemas of the arguments, by name; which of them are required; which stand in the path."""
    _, schemas = msgspec.json.schema_components([operation.takes], ref_template=_REFERENCE)
    schema = schemas[operation.takes.__name__]
    in_path = set(_IN_PATH.findall(operation.path))
    return schema.get("properties", {}), set(schema.get("required", ())) | in_path, in_path


def told(operation: Operation) -> tuple[str, str]:
    """What an operation does, in a sentence, and what else there is to say of it."""
    summary, _, more = (inspect.getdoc(operation.function) or "").partition("\n\n")
    takes = "" if operation.takes is NoArguments else own_doc(operation.takes)
    return " ".join(summary.split()), "\n\n".join(filter(None, (more, takes)))


def own_doc(struct: type[msgspec.Struct]) -> str:
    """Its docstring, unless it has only the one that every struct has."""
    return inspect.cleandoc(struct.__dict__.get("__doc__") or "")


def _described(operation: Operation) -> dict[str, Any]:
    schemas, required, in_path = arguments_of(operation)
    summary, more = told(operation)
    in_body = (
        {} if operation.method != "POST" else {n: s for n, s in schemas.items() if n not in in_path}
    )
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": summary,
        "description": f"{more}\n\nFor {operation.access.value}.".strip(),
        "parameters": [
            {
                "name": name,
                "in": "path" if name in in_path else "query",
                "required": name in required,
                "schema": schema,
            }
            for name, schema in schemas.items()
            if name not in in_body
        ],
        "responses": {
            "200": {"description": "Done.", **_content(operation.returns)},
            "default": {"description": "Refused.", **_content([Problem])},
        },
        "security": []
        if operation.access is Access.ANYBODY
        else [{"password": []}, {"key": []}, {"session": []}],
    }
    if in_body:
        described["requestBody"] = _body(in_body, required - in_path)
    return described


def _body(properties: Mapping[str, Any], required: set[str]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": sorted(required)}
    content = {kind: {"schema": schema} for kind in _BODIES}
    return {"required": bool(required), "content": content}


def _content(answers: Sequence[type[msgspec.Struct]]) -> dict[str, Any]:
    references = [{"$ref": _REFERENCE.format(name=struct.__name__)} for struct in answers]
    if not references:
        return {}
    schema = references[0] if len(references) == 1 else {"anyOf": references}
    return {"content": {"application/json": {"schema": schema}}}
