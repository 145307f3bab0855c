"""The arguments of a request, wherever the client put them.

Clients send them in the query, as urlencoded or multipart form, or as a JSON object, and mix those
at will; some send ``application/json`` with nothing, or ``null``, behind it (docs/agents.md).
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request

from eportal_core.errors import InvalidValue

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


async def read_arguments(request: Request) -> dict[str, str]:
    """Arguments by name; the body's win over the query's. Lists are left out.

    Raises:
        InvalidValue: the body is not what its content type says, or a value holds a NUL.
    """
    values: dict[str, str] = dict(request.query_params)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type in _FORMS:
        try:
            form = await request.form(max_files=0, max_fields=100)
        except (HTTPException, ValueError) as error:
            raise InvalidValue("The form in the body cannot be read.") from error
        values |= {name: value for name, value in form.items() if isinstance(value, str)}
    elif content_type == "application/json":
        values |= {
            name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
            for name, value in json_object(await request.body()).items()
            if isinstance(value, str | int | float)
        }
    if any("\0" in value for value in values.values()):
        raise InvalidValue("An argument holds a NUL character.")
    return values


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
