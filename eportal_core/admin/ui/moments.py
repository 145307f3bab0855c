"""Moments as pages show them: UTC, which the browser turns into the viewer's zone."""

from __future__ import annotations

from datetime import datetime

from markupsafe import Markup


def moment(when: datetime | str | None, never: str = "never") -> Markup:
    """A ``time`` element; ``never`` for None.

    when: UTC, as the models or as the HTTP API give it (``YYYY-MM-DD HH:MM:SS.ffffff``).
    """
    if when is None or when == "":
        return Markup('<span class="text-secondary">{}</span>').format(never)
    exact = datetime.fromisoformat(when) if isinstance(when, str) else when
    return Markup('<time datetime="{}Z">{} UTC</time>').format(
        exact.strftime("%Y-%m-%dT%H:%M:%S"), exact.strftime("%Y-%m-%d %H:%M")
    )
