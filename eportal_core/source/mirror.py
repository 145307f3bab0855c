"""The metadata that a portal read of its patch source, for portals below it, as it was signed.

Readers ask for several files one after the other, and an update here may come between: what was
told before the last change is therefore told on.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tuf.api.metadata import Metadata, Targets

from eportal_core.config import Config
from eportal_core.errors import StorageError, UpstreamError
from eportal_core.patchsets.manifest import File
from eportal_core.source.held import folder_of_trusted, held
from eportal_core.source.layout import METADATA, TOP_ROLES, Offer, offers, stored_path

log = logging.getLogger("eportal.source")

_TIMESTAMP = f"{METADATA}/timestamp.json"
#: How often the metadata may change while it is read.
_TRIES = 5


@dataclass(frozen=True)
class Listed:
    """An archive or manifest as the metadata lists it. name: that of its file in ``arch/``.

    path: below ``targets/``.
    """

    product: str
    name: str
    path: str
    file: File


@dataclass(frozen=True)
class Generation:
    """Metadata that belongs together, by path. state: of ``folder`` when it was read from there."""

    folder: Path
    state: tuple[object, ...]
    files: dict[str, bytes]

    @cached_property
    def offers(self) -> dict[str, list[Offer]]:
        """What it lists, by product, the latest names first."""
        found = {}
        for path, data in self.files.items():
            role = path.removesuffix(".json").rpartition(".")[2]
            if role not in TOP_ROLES and path != _TIMESTAMP:
                try:
                    found[role] = offers(role, Metadata[Targets].from_bytes(data).signed)[::-1]
                except UpstreamError as error:
                    log.warning("Files of %s are not handed on: %s", role, error)
        return found

    @cached_property
    def targets(self) -> dict[str, Listed]:
        """Archives and manifests by path."""
        every = (offer for listed in self.offers.values() for offer in listed)
        files = (each for offer in every for each in (_archive(offer), _manifest(offer)))
        return {each.path: each for each in files}


class Mirror:
    """What the portal with ``config`` may hand on now; methods may be called in any thread.

    Each raises a PortalError when nothing was read from the source yet, when it is not clear what
    is trusted, or when the disk refused.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._generations: list[Generation] = []

    def metadata(self, path: str) -> bytes | None:
        """A metadata file; None when there is none of this name."""
        return next((each.files[path] for each in self._known() if path in each.files), None)

    def target(self, path: str) -> Listed | None:
        """The archive or manifest that is ``path`` below ``targets/``; None when there is none."""
        return next((each.targets[path] for each in self._known() if path in each.targets), None)

    def manifests(self, product: str) -> list[Listed]:
        """Those of ``product``, the latest names first."""
        return [_manifest(offer) for offer in self._known()[0].offers.get(product, ())]

    def _known(self) -> list[Generation]:
        """What is kept now, and what was kept before that."""
        folder = folder_of_trusted(self._config)
        with self._lock:
            newest = self._generations[:1]
            if [(each.folder, each.state) for each in newest] != [(folder, _state(folder))]:
                before = [each for each in newest if each.folder == folder]
                self._generations = [_read(folder), *before]
            return self._generations


def _archive(offer: Offer) -> Listed:
    path = stored_path(offer.archive, offer.sha256)
    return Listed(offer.product, offer.archive_name, path, File(offer.sha256, offer.size))


def _manifest(offer: Offer) -> Listed:
    name, path = offer.meta.rpartition("/")[2], stored_path(offer.meta, offer.meta_sha256)
    return Listed(offer.product, name, path, File(offer.meta_sha256, offer.meta_size))


def _read(folder: Path) -> Generation:
    for _ in range(_TRIES):
        before = _state(folder)
        try:
            files = held(folder).files
        except StorageError:
            if _state(folder) == before:
                raise
        else:
            if _state(folder) == before:
                return Generation(folder, before, files)
    raise StorageError(f"The metadata in {folder} changes all the time.")


def _state(folder: Path) -> tuple[object, ...]:
    """Another one whenever something else is kept in ``folder``: files there are never changed."""
    try:
        found = [(folder / name).stat() for name in ("metadata", "roots")]
    except FileNotFoundError:
        raise UpstreamError("Nothing was read from the patch source yet.") from None
    return tuple((each.st_ino, each.st_mtime_ns) for each in found)
