"""Why metadata of a patch source was refused, in one sentence for an operator.

What python-tuf raises names the attack only in words of its own; here the metadata that came is
looked at, and compared with what was accepted before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, Root, Signed, Snapshot, Targets, Timestamp

from eportal_core.errors import SourceRefused, UpstreamError

#: What python-tuf raises for a source that cannot be used.
TUF_ERRORS = (RepositoryError, DownloadError)
#: The order in which roles are believed; those of products follow.
_ORDER = (Root.type, Timestamp.type, Snapshot.type, Targets.type)


def refusal(
    error: Exception, place: object, came: dict[str, bytes], new: Path, before: Path
) -> UpstreamError:
    """What to tell instead of ``error``, one of ``TUF_ERRORS``.

    came: role -> what the source sent for it, newest last. new, before: folders of metadata, as
    far as it was accepted now, and as it was.
    """
    source = f"The patch source {place}"
    last = next(reversed(came), Root.type)
    if isinstance(error, DownloadHTTPError):
        return UpstreamError(
            f"{source} is not whole, or is none: {error}", answered=error.status_code
        )
    if isinstance(error, DownloadLengthMismatchError):
        return SourceRefused(f"{source} sends metadata without end: {error}")
    if isinstance(error, ExpiredMetadataError):
        return SourceRefused(f"{source} is refused: {_expired(came, new)}")
    if isinstance(error, UnsignedMetadataError):
        return SourceRefused(
            f"{source} is refused: its {last}.json is not signed by the keys that are trusted "
            f"here. If another source was set on purpose, run kc.eportal source trust."
        )
    if gone_back := _gone_back(came, before):
        return SourceRefused(
            f"{source} is refused: {gone_back}. Somebody offers old data again, or the publisher "
            f"lost its newest; ask the publisher."
        )
    if isinstance(error, BadVersionNumberError | LengthOrHashMismatchError):
        return SourceRefused(
            f"{source} is refused: its {last}.json does not belong to its other metadata. It is "
            f"being changed at this moment, or somebody mixes old files with new ones."
        )
    return SourceRefused(f"{source} is refused: its {last}.json cannot be used ({error}).")


def _expired(came: dict[str, bytes], new: Path) -> str:
    now = datetime.now(UTC)
    products = (role for role in came if role not in _ORDER)
    for role in (*_ORDER, *products):
        signed = _signed(came[role]) if role in came else _stored(new, role)
        if signed is not None and signed.is_expired(now):
            return (
                f"its {role}.json expired at {signed.expires:%Y-%m-%d %H:%M} UTC, and the clock "
                f"of this portal says {now:%Y-%m-%d %H:%M} UTC. Nobody keeps the source up, "
                f"somebody hides newer data, or the clock is wrong."
            )
    return f"its metadata is expired, and the clock of this portal says {now:%Y-%m-%d %H:%M} UTC."


def _gone_back(came: dict[str, bytes], before: Path) -> str:
    """Which version is lower than it was; empty when none is."""
    for role in (Timestamp.type, Snapshot.type):
        then = _stored(before, role)
        new = _signed(came[role]) if role in came else None
        if then is not None and new is not None:
            now = dict(_versions(new))
            for name, version in _versions(then):
                if name in now and now[name] < version:
                    return f"{name} has version {now[name]}, and had {version} before"
                if name not in now:
                    return f"{name}, which was there before, is missing"
    return ""


def _versions(signed: Signed) -> Iterator[tuple[str, int]]:
    """What metadata says of versions, its own and those of others, by file."""
    yield f"{signed.type}.json", signed.version
    if isinstance(signed, Timestamp):
        yield "snapshot.json", signed.snapshot_meta.version
    elif isinstance(signed, Snapshot):
        for name, meta in signed.meta.items():
            yield name, meta.version


def _stored(folder: Path, role: str) -> Signed | None:
    with suppress(OSError):
        return _signed((folder / f"{role}.json").read_bytes())
    return None


def _signed(data: bytes) -> Signed | None:
    with suppress(RepositoryError):
        return Metadata.from_bytes(data).signed
    return None
