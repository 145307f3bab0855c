"""The patch source as this portal reads it: what it lists, and its files, all of it verified."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from eportal_core.errors import (
    ArchiveError,
    Conflict,
    InvalidValue,
    NoSource,
    SourceRefused,
    StorageError,
    WrongBytes,
)
from eportal_core.source.layout import TARGETS, Offer, stored_path
from eportal_core.storage import disk_errors, write_file

if TYPE_CHECKING:
    from eportal_core.config import Config
    from eportal_core.patchsets.manifest import File, Manifest
    from eportal_core.portal import Portal
    from eportal_core.source.places import Place

#: As PUBLISH_SOURCE: what is read is served.
MIRROR = "mirror"
#: A clock may be set back so far without a word.
_CLOCK_SLACK = timedelta(hours=1)


class Source:
    """A patch source that is open; its ``fetch_`` methods may be used by several threads."""

    def __init__(self, portal: Portal, place: Place) -> None:
        self._portal = portal
        self._place = place

    @property
    def refreshed(self) -> datetime | None:
        """When ``refresh`` last went well, of this source or one before it."""
        return last_refresh(self._portal)

    def refresh(self) -> list[Offer]:
        """What the source lists now of the products that this portal has.

        Raises:
            SourceRefused: it is not what the publisher signed, or not fresh; nothing changed.
            NoSource: no source is trusted yet.
            UpstreamError: it does not answer.
            InvalidValue: a setting cannot be used.
            StorageError: the disk refused.
        """
        from eportal_core.source import metadata, trust

        config = self._portal.config
        self._check_clock()
        root = trust.pinned(config, self._place)
        folder = _folder(self._portal) / trust.fingerprint(root)
        with disk_errors(folder):
            found = metadata.current(
                self._place, folder, root, self._portal.products, whole=is_mirror(config)
            )
            write_file(_mark(self._portal), self.moment(folder).isoformat().encode())
        return found

    def moment(self, folder: Path) -> datetime:
        """Of when the metadata is that was just verified and is kept in ``folder``, UTC."""
        return datetime.now(UTC)

    def fetch_archive(
        self, offer: Offer, path: Path, progress: Callable[[int], None] | None = None
    ) -> None:
        """The archive of ``offer``, whole and verified at ``path``, or nothing.

        progress: told of each piece that came, bytes.

        Raises:
            SourceRefused: it is not what the publisher signed.
            UpstreamError: it cannot be had; over http, the next try goes on where this stopped.
            StorageError: the disk refused.
        """
        stored = stored_path(offer.archive, offer.sha256)
        self._fetch(stored, path, offer.size, offer.sha256, progress)

    def fetch_manifest(self, offer: Offer) -> Manifest:
        """The manifest of ``offer``, verified, and of its product and name.

        Raises:
            SourceRefused: it is not what the publisher signed, or no manifest of that patchset.
            UpstreamError: it cannot be had.
        """
        from eportal_core.patchsets.manifest import decode

        path = f"{TARGETS}/{stored_path(offer.meta, offer.meta_sha256)}"
        with _refused():
            data = self._place.read(path, offer.meta_size)
            if hashlib.sha256(data).hexdigest() != offer.meta_sha256:
                raise WrongBytes(f"{path} has other bytes than its sha256 says.")
        try:
            manifest = decode(data)
        except ArchiveError as error:
            raise SourceRefused(f"{path} of the patch source is refused: {error}") from error
        if (manifest.product, manifest.name) != (offer.product, offer.name):
            raise SourceRefused(f"{path} of the patch source is of another patchset.")
        return manifest

    def fetch_file(self, stored: str, expected: File, path: Path) -> None:
        """A file that is ``stored`` below ``targets/``, whole at ``path``, or nothing.

        expected: as the metadata of the source says, or a manifest that is listed there.

        Raises:
            SourceRefused: it is not that.
            UpstreamError: it cannot be had.
            StorageError: the disk refused.
        """
        if ".." in stored.split("/"):
            raise InvalidValue("A file of a patch source has no .. in its path.")
        self._fetch(stored, path, expected.size, expected.sha256, None)

    def _fetch(
        self,
        stored: str,
        path: Path,
        size: int,
        sha256: str,
        progress: Callable[[int], None] | None,
    ) -> None:
        with _refused():
            self._place.fetch(f"{TARGETS}/{stored}", path, size, sha256, progress)

    def _check_clock(self) -> None:
        """Refuse to judge what is fresh by a clock that went back: old data would look new.

        Raises:
            SourceRefused: it did.
        """
        last, now = self.refreshed, datetime.now(UTC)
        if last is None and _mark(self._portal).exists():
            raise SourceRefused(
                f"{_mark(self._portal)} is damaged: it tells when the patch source was last read. "
                f"See that the clock is right, then remove that file."
            )
        if last is not None and now < last - _CLOCK_SLACK:
            raise SourceRefused(
                f"The clock of this portal says {now:%Y-%m-%d %H:%M} UTC, and the patch source was "
                f"read at {last:%Y-%m-%d %H:%M} UTC. Set the clock; if it was wrong then, remove "
                f"{_mark(self._portal)}."
            )


@contextmanager
def open_source(portal: Portal, *, url: str | None = None, alone: bool = True) -> Iterator[Source]:
    """The patch source that PATCH_SOURCE_URL names, or ``url``, a directory as well.

    alone: nobody else may have it open so; without it, ``refresh`` must not be called.

    Raises:
        NoSource: none is set.
        Conflict: another process or thread has it open.
        InvalidValue: the setting names no place.
    """
    with (
        _lock(portal) if alone else nullcontext(),
        open_place(portal, url) as place,
    ):
        yield Source(portal, place)


@contextmanager
def open_place(portal: Portal, url: str | None = None) -> Iterator[Place]:
    """Where the files of the patch source are; nothing of them is verified.

    Raises:
        NoSource: none is set.
        InvalidValue: the setting names no place.
    """
    url = url or portal.config["PATCH_SOURCE_URL"]
    if not url:
        raise NoSource(
            "No patch source is set; kc.eportal config set PATCH_SOURCE_URL names one, an address "
            "or a directory."
        )
    from eportal_core.source.places import place_of

    with closing(place_of(url, portal)) as place:
        yield place


def is_mirror(config: Config) -> bool:
    """Whether portals below read from this one what it reads itself."""
    found: bool = config["PUBLISH_SOURCE"] == MIRROR
    return found


def last_refresh(portal: Portal) -> datetime | None:
    """When the patch source was last read and all of it was good, UTC; None for never."""
    try:
        return datetime.fromisoformat(_mark(portal).read_text().strip()).astimezone(UTC)
    except (OSError, ValueError):
        return None


@contextmanager
def _lock(portal: Portal) -> Iterator[None]:
    folder = _folder(portal)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                "The patch source is being read already; try again when that is done."
            ) from None
        except OSError as error:
            raise StorageError(f"{folder}/lock cannot be locked: {error.strerror}.") from error
        yield


@contextmanager
def _refused() -> Iterator[None]:
    """Other bytes than those that were signed are a refusal of the source."""
    try:
        yield
    except WrongBytes as error:
        raise SourceRefused(f"The patch source offers what nobody signed: {error}") from error


def _folder(portal: Portal) -> Path:
    return portal.config.data_dir / "source"


def _mark(portal: Portal) -> Path:
    return _folder(portal) / "refreshed"
