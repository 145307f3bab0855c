"""Help texts taken apart, to be compared with documented ones."""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass
class Help:
    """A help text taken apart, free of the width it was wrapped for."""

    usage: list[str] = field(default_factory=list)
    description: str = ""
    #: Heading -> what it lists (``--feed FEED``) -> the sentence beside it.
    sections: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, str]:
        return self.sections["optional arguments"]


def parse(text: str) -> Help:
    found = Help()
    paragraphs = text.rstrip().split("\n\n")
    assert paragraphs[0].startswith("usage: ")
    found.usage = re.findall(r"\[[^]]*\]|\S+", " ".join(paragraphs[0].split()))
    for paragraph in paragraphs[1:]:
        heading, *lines = paragraph.split("\n")
        if not lines:
            found.description = heading
            continue
        entries = found.sections.setdefault(heading.removesuffix(":"), {})
        name = ""
        for line in lines:
            if not line.startswith("   "):
                name, _, sentence = line.strip().partition("  ")
                entries[name] = sentence.strip()
            else:
                entries[name] = f"{entries[name]} {line.strip()}".strip()
    return found


def contains_in_order(whole: list[str], part: list[str]) -> bool:
    remaining = iter(whole)
    return all(token in remaining for token in part)
