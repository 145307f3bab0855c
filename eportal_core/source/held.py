"""The metadata that a portal keeps of a source, as files of a source again.

What is kept has no versions in its names, and a source has them there. All of it was verified.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Signed, Timestamp

from eportal_core.config import Config
from eportal_core.errors import NotFound, StorageError
from eportal_core.source.files import Folder
from eportal_core.source.layout import METADATA
from eportal_core.source.signing import days_of
from eportal_core.source.trust import checked_fingerprint, fingerprint, folder_of, pinned
from eportal_core.storage import disk_errors


@dataclass(frozen=True)
class HeldMetadata:
    """What is known of a source.

    files: bytes, by path as ``layout`` has it. roots: fingerprints, the oldest first.
    versions: by role. expires: when the first of them does, UTC.
    """

    files: dict[str, bytes]
    roots: list[str]
    versions: dict[str, int]
    expires: datetime

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self.files.values()))


def folder_of_trusted(config: Config) -> Path:
    """Where the metadata of the source that is trusted is kept, if any was verified.

    Raises:
        NoSource: nothing is trusted yet.
        InvalidValue, SourceRefused: a setting cannot be used.
    """
    top, wanted = folder_of(config), config["PATCH_SOURCE_FINGERPRINT"]
    known = checked_fingerprint(wanted) if wanted else fingerprint(pinned(config, Folder(top)))
    return top / known


def held(folder: Path) -> HeldMetadata:
    """What is kept in ``folder`` of one source.

    Raises:
        NotFound: nothing was verified yet.
        StorageError: it cannot be read.
    """
    with disk_errors(folder):
        roots = {
            int(path.name.partition(".")[0]): path.read_bytes()
            for path in (folder / "roots").glob("*.root.json")
        }
        others = {
            path.stem: path.read_bytes()
            for path in (folder / "metadata").glob("*.json")
            if path.stem != Root.type
        }
    if not roots or not others:
        raise NotFound("Nothing was read from the patch source yet.")
    files = {f"{METADATA}/{number}.root.json": roots[number] for number in sorted(roots)}
    newest = {Root.type: _signed(folder, roots[max(roots)])}
    for role, data in sorted(others.items()):
        newest[role] = _signed(folder, data)
        name = role if role == Timestamp.type else f"{newest[role].version}.{role}"
        files[f"{METADATA}/{name}.json"] = data
    return HeldMetadata(
        files,
        [fingerprint(roots[number]) for number in sorted(roots)],
        {role: signed.version for role, signed in newest.items()},
        min(signed.expires for signed in newest.values()),
    )


def signed_at(folder: Path) -> datetime:
    """When the publisher signed the timestamp that is kept in ``folder``, UTC.

    It is not in the metadata itself: it follows from the expiry, and for how many days the
    publisher says that he signs. For one who does not say, it is one day.

    Raises:
        StorageError: it cannot be read.
    """
    with disk_errors(folder):
        data = (folder / "metadata" / "timestamp.json").read_bytes()
    timestamp = _signed(folder, data)
    when = timestamp.expires - timedelta(days=days_of(Timestamp.type, timestamp))
    return min(when.astimezone(UTC), datetime.now(UTC))


def _signed(folder: Path, data: bytes) -> Signed:
    try:
        return Metadata.from_bytes(data).signed
    except RepositoryError as error:
        raise StorageError(f"The metadata in {folder} is damaged: {error}.") from error
