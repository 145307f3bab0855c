"""The one form of a user name: an entry of a directory has many spellings, a user here has one.

A directory compares names without regard to case, width of characters and number of blanks (RFC
4518). What it is asked for is therefore the normal form, and so is the name of the user here: two
spellings of one entry never become two users.
"""

from __future__ import annotations

import unicodedata

#: As long as the name of a user may be, characters.
MAX_LENGTH = 200
#: A colon ends the name where a password follows, a slash where it is part of a path.
_NEVER = frozenset(":/")
#: Characters that are printable and mean nothing, so that a directory may skip them.
#: Source: Unicode, DerivedCoreProperties.txt, Default_Ignorable_Code_Point.
_IGNORABLE = (
    range(0x034F, 0x0350),
    range(0x115F, 0x1161),
    range(0x17B4, 0x17B6),
    range(0x180B, 0x1810),
    range(0xFE00, 0xFE10),
    range(0xE0100, 0xE01F0),
)


def normal_form(typed: str) -> str | None:
    """``typed`` in lower case, NFKC, with single blanks between words and none around them.

    None for what no user is called here: nothing, dots alone, control characters, a colon, a slash,
    too long.
    """
    if len(typed) > MAX_LENGTH:
        return None
    name = typed
    while (folded := _folded(name)) != name:
        name = folded
    name = " ".join(part for part in name.split(" ") if part)
    is_name = (
        len(name) <= MAX_LENGTH
        and name.strip(".") != ""
        and name.isprintable()
        and _NEVER.isdisjoint(name)
        and not any(ord(each) in span for each in name for span in _IGNORABLE)
    )
    return name if is_name else None


def _folded(text: str) -> str:
    # Letter by letter: as a whole, the case of a sigma would depend on where it stands.
    lower = "".join(each.lower() for each in unicodedata.normalize("NFKC", text))
    return unicodedata.normalize("NFKC", lower)
