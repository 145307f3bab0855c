"""``patchset.json``: what a patchset archive says of itself, checked field by field.

The format is ours (docs/archives.md). A manifest is a value: reading it opens no file.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec

from eportal_core.errors import ArchiveError
from eportal_core.models import CHANNELS

FORMAT = 1
MANIFEST_NAME = "patchset.json"
#: A manifest larger than this is refused before it is parsed, bytes.
MANIFEST_MAX_BYTES = 64 * 1024 * 1024

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
Level = Annotated[int, msgspec.Meta(ge=1, le=9_999_999_999)]
#: Up to here every JSON reader has integers exactly.
Size = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
ShortText = Annotated[str, msgspec.Meta(max_length=1000)]
Channel = Annotated[str, msgspec.Meta(pattern=rf"^({'|'.join(CHANNELS)})$")]


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a level: its sha256 in hex and its size in bytes."""

    sha256: Sha256
    size: Size


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a patchset brings for one target: the level, and its files by name.

    uname: of the kernel that the target is. name: of the library or program that it is.
    """

    level: Level
    files: dict[str, File]
    distro: ShortText = ""
    uname: ShortText = ""
    name: ShortText = ""

    def digest(self) -> str:
        """A hash over names, sizes and contents: equal digests are equal bytes on disk."""
        lines = (
            f"{name}\0{file.sha256}\0{file.size}\n" for name, file in sorted(self.files.items())
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A patchset as its archive describes it; ``released`` is an ISO 8601 date or time, UTC."""

    format: int
    product: ShortText
    name: ShortText
    targets: dict[str, Target]
    released: ShortText = ""
    channels: list[Channel] = msgspec.field(default_factory=lambda: ["default"])
    distros: list[ShortText] = msgspec.field(default_factory=list)
    changelog: Annotated[str, msgspec.Meta(max_length=1_000_000)] = ""

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for target in self.targets.values() for file in target.files.values())

    def encode(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=1)


def decode(data: bytes) -> Manifest:
    """Parse and check a manifest.

    Raises:
        ArchiveError: not JSON, not of this shape, or of a format this version does not know.
    """
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ArchiveError(f"{MANIFEST_NAME} cannot be used: {error}.") from None
    if manifest.format != FORMAT:
        raise ArchiveError(
            f"{MANIFEST_NAME} has format {manifest.format}, this version reads format {FORMAT}."
        )
    return manifest
