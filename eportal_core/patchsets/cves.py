"""``kpatch.info``: the vulnerabilities that the patches of a level close.

Source: one block a patch, with the lines ``kpatch-cve`` and ``kpatch-cvss`` (docs/archives.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

#: No more of a file is read, bytes; a level with a thousand patches has a tenth of it.
READ_MAX = 4 * 1024 * 1024

_LINE = re.compile(rb"^kpatch-(name|cve|cvss):(.*)$", re.MULTILINE)
_CVE = re.compile(rb"CVE-\d{4}-\d{4,15}(?!\d)")
_SCORE = re.compile(rb"\s*(\d{1,2}(?:\.\d{1,2})?)(?![\d.])")


def read_cves(path: Path) -> Mapping[str, float | None]:
    """CVE -> its CVSS score, None where the file tells none; the highest where it tells several.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(READ_MAX)
    found: dict[str, float | None] = {}
    block: list[str] = []
    for match in _LINE.finditer(data):
        field, value = match.groups()
        if field == b"name":
            block = []
        elif field == b"cve":
            block = [cve.decode() for cve in _CVE.findall(value)]
            for cve in block:
                found.setdefault(cve, None)
        elif (score := _SCORE.match(value)) is not None:
            for cve in block:
                found[cve] = max(found[cve] or 0.0, float(score[1]))
    return found
