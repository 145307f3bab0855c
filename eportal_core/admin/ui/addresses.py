"""Addresses of pages, with what they are asked for."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

BASE = "/admin"


def url(path: str, **query: Any) -> str:
    """The address of ``path`` below ``/admin``; what is None or empty is left out of the query.

    A list stands several times, True is ``true``.
    """
    given = {
        name: ("true" if value is True else value)
        for name, value in query.items()
        if value is not None and value != "" and value != [] and value is not False
    }
    encoded = urlencode(given, doseq=True)
    return f"{BASE}{path}?{encoded}" if encoded else f"{BASE}{path}"
