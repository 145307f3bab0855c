"""Numbers of things, in words."""

from __future__ import annotations


def counted(number: int, thing: str, things: str = "") -> str:
    """``1 server``, ``2,300 servers``, ``no server``."""
    if number == 0:
        return f"no {thing}"
    return f"{number:,} {thing if number == 1 else things or f'{thing}s'}"


def capital(sentence: str) -> str:
    """The sentence with a capital letter; the rest of it stays as it is."""
    return sentence[:1].upper() + sentence[1:]
