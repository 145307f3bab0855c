"""What browsers call themselves, in words that people use."""

from __future__ import annotations

import re

#: In this order: most browsers claim to be several.
_BROWSERS = (
    (r"Edg(?:A|iOS)?/(\d+)", "Edge"),
    (r"OPR/(\d+)", "Opera"),
    (r"(?:Firefox|FxiOS)/(\d+)", "Firefox"),
    (r"(?:Headless)?(?:Chrome|CriOS)/(\d+)", "Chrome"),
    (r"Version/(\d+)\S* (?:Mobile/\S+ )?Safari/", "Safari"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def browser_name(agent: str) -> str:
    """``Firefox 140 on Windows``; of a program that is no browser, what it says, to 60 characters.

    agent: the header User-Agent.
    """
    for pattern, name in _BROWSERS:
        if found := re.search(pattern, agent):
            on = next((f" on {system}" for mark, system in _SYSTEMS if mark in agent), "")
            return f"{name} {found[1]}{on}"
    return agent[:60] or "unknown"
