"""The arguments of a request, wherever the client put them.

Clients send them in the query, as urlencoded or multipart form, or as a JSON object, and mix those
at will; some send ``application/json`` with nothing, or ``null``, behind it (docs/agents.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request

from eportal_core.errors import InvalidValue

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_FIELDS_MAX = 1000


async def read_arguments(request: Request) -> dict[str, str]:
    """Arguments by name, as texts, the last one where a name stands twice; no JSON arrays.

    Raises:
        InvalidValue: as from ``read_values``.
    """
    return {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, values in (await read_values(request, arrays=False)).items()
        for value in values[-1:]
        if isinstance(value, str | int | float)
    }


async def read_values(request: Request, *, arrays: bool = True) -> dict[str, list[Any]]:
    """All values of each argument; the body's win over the query's. JSON values have their types.

    arrays: a JSON array is several values; without it, it is left out.

    Raises:
        InvalidValue: the body is not what its content type says, or a value holds a NUL.
    """
    values: dict[str, list[Any]] = _by_name(request.query_params.multi_items())
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type in _FORMS:
        try:
            form = await request.form(max_files=0, max_fields=_FIELDS_MAX)
        except (HTTPException, ValueError) as error:
            raise InvalidValue("The form in the body cannot be read.") from error
        values |= _by_name((name, str(value)) for name, value in form.multi_items())
    elif content_type == "application/json":
        for name, value in json_object(await request.body()).items():
            if not isinstance(value, list):
                values[name] = [value]
            elif arrays:
                if None in value:
                    raise InvalidValue("A list in the body holds null.")
                values[name] = value
    texts = (text for found in values.values() for text in found if isinstance(text, str))
    if any("\0" in text for text in texts):
        raise InvalidValue("An argument holds a NUL character.")
    return values


def _by_name(pairs: Iterable[tuple[str, str]]) -> dict[str, list[Any]]:
    # Not by getlist, which looks through all pairs for each name: there may be tens of thousands.
    found: dict[str, list[Any]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in ``body``; an empty body and ``null`` are an empty object.

    Raises:
        InvalidValue: it is no JSON, or no object.
    """
    if not body.strip():
        return {}
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidValue("The body is not JSON.") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidValue("The body is no JSON object.")
    return value
