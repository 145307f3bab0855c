"""Texts that match a regular expression, as those of products are: names of archives, targets.

Understood are literals, classes, ``\\d \\w \\s .``, groups, ``|``, and ``* + ? {m,n}``.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from random import Random
from typing import TypeAlias

#: Writes one of the texts that a part of an expression matches.
Writer: TypeAlias = Callable[[Random], str]

#: How often a part comes more than it must, where there is no other bound.
MORE = 4

_WORD = string.ascii_letters + string.digits + "_"
_CLASSES = {"d": string.digits, "w": _WORD, "s": " "}


def writer_of(pattern: str) -> Writer:
    """Writes texts that ``pattern`` matches in full; where it cuts a corner, most of them.

    Raises:
        ValueError: it holds something that is not understood here.
    """
    return _Parser(pattern).parse()


class _Parser:
    """Reads an expression from left to right, and makes a writer of it."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def parse(self) -> Writer:
        writer = self._alternatives()
        if self._at < len(self._pattern):
            raise self._puzzled()
        return writer

    def _alternatives(self) -> Writer:
        choices = [self._sequence()]
        while self._take("|"):
            choices.append(self._sequence())
        return lambda random: random.choice(choices)(random)

    def _sequence(self) -> Writer:
        parts: list[Writer] = []
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            if not self._take("^") and not self._take("$"):
                parts.append(self._repeated(self._atom()))
        return lambda random: "".join(part(random) for part in parts)

    def _atom(self) -> Writer:
        if self._take("("):
            return self._group()
        if self._take("["):
            return _one_of(self._set())
        if self._take("."):
            return _one_of(_WORD)
        return _one_of(self._character())

    def _group(self) -> Writer:
        if self._take("?P<"):
            self._until(">")
        elif self._take("?") and not self._take(":"):
            raise self._puzzled()
        inner = self._alternatives()
        if not self._take(")"):
            raise self._puzzled()
        return inner

    def _set(self) -> str:
        """The characters of ``[...]``, those that can be printed if it says which not."""
        negated, found = self._take("^"), ""
        while not found or not self._take("]"):
            first = self._character()
            if len(first) == 1 and self._pattern[self._at + 1 : self._at + 2] != "]":
                last = self._character() if self._take("-") else first
                first = "".join(map(chr, range(ord(first), ord(last) + 1)))
            found += first
        return "".join(sorted(set(_WORD) - set(found))) if negated else found

    def _character(self) -> str:
        """The characters that the next one stands for: itself, unless it is ``\\d`` or such."""
        if not self._take("\\"):
            return self._next()
        letter = self._next()
        if letter.isalnum() and letter not in _CLASSES:
            raise self._puzzled()
        return _CLASSES.get(letter, letter)

    def _repeated(self, part: Writer) -> Writer:
        least, most = self._bounds()
        # What follows says how greedy it is: nothing that is written differs by that.
        if (least, most) != (1, 1):
            _ = self._take("?") or self._take("+")
        return lambda random: "".join(part(random) for _ in range(random.randint(least, most)))

    def _bounds(self) -> tuple[int, int]:
        for sign, bounds in (("*", (0, MORE)), ("+", (1, 1 + MORE)), ("?", (0, 1))):
            if self._take(sign):
                return bounds
        if not self._take("{"):
            return 1, 1
        least, comma, most = self._until("}").partition(",")
        low = int(least or 0)
        return low, int(most) if most else low + MORE if comma else low

    def _take(self, text: str) -> bool:
        """Go past ``text``, if it is next."""
        found = self._pattern.startswith(text, self._at)
        self._at += len(text) * found
        return found

    def _next(self) -> str:
        if self._at == len(self._pattern):
            raise self._puzzled()
        self._at += 1
        return self._pattern[self._at - 1]

    def _until(self, end: str) -> str:
        text, found, _ = self._pattern[self._at :].partition(end)
        if not found:
            raise self._puzzled()
        self._at += len(text) + 1
        return text

    def _puzzled(self) -> ValueError:
        return ValueError(f"{self._pattern!r} is not understood at character {self._at + 1}")


def _one_of(characters: str) -> Writer:
    return lambda random: random.choice(characters)
