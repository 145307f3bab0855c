"""The HTTP API of a portal in this process, and arguments in every form that clients send."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias
from urllib.parse import urlencode

import httpx2
from starlette.testclient import TestClient

from eportal_core.admin.app import admin_app
from eportal_core.operations import users
from eportal_core.portal import Portal

ADMIN = ("admin", "AdminPassword")
#: Arguments, each name with one value or several; true and false are Python's.
Arguments: TypeAlias = Mapping[str, Any]

_JSON = {"Content-Type": "application/json"}
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def pairs(arguments: Arguments) -> list[tuple[str, str]]:
    """Each value on its own, as text."""
    return [
        (name, str(value).lower() if isinstance(value, bool) else str(value))
        for name, values in arguments.items()
        for value in (values if isinstance(values, list) else [values])
    ]


def _mixed(arguments: Arguments) -> dict[str, Any]:
    first, *rest = arguments.items()
    return {"params": pairs(dict([first])), **_urlencoded(dict(rest))}


def _urlencoded(arguments: Arguments) -> dict[str, Any]:
    return {"content": urlencode(pairs(arguments)), "headers": _FORM}


#: How public clients send arguments: what httpx2 is to be told.
FORMS: dict[str, Callable[[Arguments], dict[str, Any]]] = {
    "query": lambda arguments: {"params": pairs(arguments)},
    "urlencoded": _urlencoded,
    "multipart": lambda a: {"files": [(name, (None, value)) for name, value in pairs(a)]},
    "json": lambda arguments: {"content": json.dumps(arguments), "headers": _JSON},
    "json texts": lambda a: {
        "content": json.dumps({n: v if isinstance(v, list) else str(v) for n, v in a.items()}),
        "headers": _JSON,
    },
    "query, json without a body": lambda a: {"params": pairs(a), "headers": _JSON},
    "query, json null": lambda a: {"params": pairs(a), "headers": _JSON, "content": "null"},
    "query and form": _mixed,
}


class Api:
    """Calls the admin side of ``portal``, which gets the user ``ADMIN``; its jobs do not run."""

    def __init__(self, portal: Portal) -> None:
        self.portal = portal
        if users.find(ADMIN[0]) is None:
            users.add(portal, *ADMIN)
        self.client = TestClient(admin_app(portal), raise_server_exceptions=False)

    def call(
        self,
        method: str,
        path: str,
        *,
        auth: Sequence[str] | None = ADMIN,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> httpx2.Response:
        """``path`` is below ``/admin/api``."""
        own = {"auth": tuple(auth)} if auth else {}
        url = f"/admin/api{path}"
        return self.client.request(method, url, headers=dict(headers or {}), **own, **options)

    def ok(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of a call that must succeed."""
        answer = self.call(method, path, **options)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        return answer.json()

    def refused(self, method: str, path: str, status: int, **options: Any) -> tuple[str, str]:
        """Code and sentence of a call that must be refused with ``status``."""
        answer = self.call(method, path, **options)
        assert answer.status_code == status, answer.text
        assert answer.json().keys() == {"error", "detail"}
        sentence = answer.json()["detail"]
        assert sentence.endswith("."), sentence
        return answer.json()["error"], sentence
