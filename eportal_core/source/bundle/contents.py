"""``bundle.json``: what a bundle holds, for people and for telling which part is missing.

Nobody signs it, so nothing is decided by it: no file is opened because it is named there, and what
a file must be is said by the signed metadata alone.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from eportal_core.errors import UpstreamError
from eportal_core.patchsets.manifest import ShortText, Size
from eportal_core.source.bundle.carried import ID
from eportal_core.source.places import Place

FORMAT = 1
NAME = "bundle.json"
#: A longer one is not read, bytes.
MAX_BYTES = 64 * 1024 * 1024

CarriedId = Annotated[str, msgspec.Meta(pattern=f"^{ID}$", max_length=1000)]
PartName = Annotated[str, msgspec.Meta(pattern=r"^part-[0-9]{3,6}$")]


class File(msgspec.Struct, frozen=True):
    """A file of a bundle, which is no metadata of the source.

    checksum: ``sha256:<hex>``, or of another algorithm. part: where it is; empty when it is in
    every part, or the bundle is not split.
    """

    path: Annotated[str, msgspec.Meta(max_length=3000)]
    size: Size
    checksum: ShortText
    part: Annotated[str, msgspec.Meta(pattern=r"^(part-[0-9]{3,6})?$")] = ""


class Contents(msgspec.Struct, frozen=True):
    """What is in a bundle.

    made: when, ISO 8601, UTC. source: fingerprint of the source's oldest root in it. expires: the
    moment after which some of its metadata is no longer believed. metadata: version by role. These
    are empty in a bundle without patchsets.
    parts: bytes by name, all of the part but this file. carried: how many files it has for
    products that are not made of archives, by product and name.
    """

    format: int
    made: ShortText
    source: ShortText
    expires: ShortText
    metadata: dict[ShortText, int]
    parts: dict[PartName, Size]
    files: list[File]
    carried: Annotated[dict[CarriedId, int], msgspec.Meta(max_length=1000)]

    def encode(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=1)


def read(place: Place) -> Contents | None:
    """What a bundle says that it holds; None when that cannot be used."""
    try:
        found = msgspec.json.decode(place.read(NAME, MAX_BYTES), type=Contents)
    except (UpstreamError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found if found.format == FORMAT else None
