"""Write the files of a bundle: aside first, so that it is there as a whole or not at all."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from eportal_core.errors import StorageError, UpstreamError
from eportal_core.models import Patchset
from eportal_core.patchsets.progress import progress_bar
from eportal_core.portal import Portal
from eportal_core.source import metadata
from eportal_core.source.bundle import contents
from eportal_core.source.bundle.held import HeldMetadata
from eportal_core.source.bundle.packing import packed, part_name, weight
from eportal_core.source.layout import TARGETS, Offer, stored_path
from eportal_core.source.places import Folder, Place
from eportal_core.storage import disk_errors, is_folder, sync_folder, sync_tree

log = logging.getLogger("eportal.bundle")

Show = Callable[[int, int], None]


@dataclass(frozen=True)
class Written:
    """What a bundle has. size: bytes of all parts. expires: when it is no longer believed, UTC."""

    patchsets: int
    parts: int
    size: int
    expires: datetime


class Writer:
    """Writes one bundle.

    known: the metadata. offers: whose archives are in it. part_size: bytes, None for one part.
    """

    def __init__(
        self,
        portal: Portal,
        place: Place,
        folder: Path,
        known: HeldMetadata,
        offers: Sequence[Offer],
        part_size: int | None,
    ) -> None:
        self._place = place
        self._folder = folder
        self._aside = folder.with_name(f".{folder.name}.unfinished")
        self._known = known
        self._products = list(portal.products)
        self._here = Folder(portal.storage.archives)
        self._archives = {row.sha256: row for row in Patchset.select()}
        self._is_split = part_size is not None
        # What is in every part is largest when each archive has a part of its own.
        longest = len(self._contents([[offer] for offer in offers]).encode())
        self._overhead = known.size + longest
        if part_size is None:
            self._parts = [list(offers)]
        else:
            self._parts = packed(offers, part_size, self._overhead)
        self._done = 0
        self._total = sum(map(weight, offers))

    def write(self) -> Written:
        """Write all of it.

        Raises:
            UpstreamError: an archive cannot be had.
            StorageError: the disk refused; nothing is left.
        """
        offers = [offer for part in self._parts for offer in part]
        with disk_errors(self._folder):
            if is_folder(self._aside):
                # A crash left it.
                shutil.rmtree(self._aside)
            self._check_room()
            self._aside.mkdir()
            try:
                with progress_bar(f"Writing {len(offers)} patchsets") as show:
                    for number, part in enumerate(self._parts):
                        self._write_part(self._part_folder(number), part, show)
                self._verify()
                size = sum(path.stat().st_size for path in self._aside.rglob("*") if path.is_file())
                sync_tree(self._aside)
                self._aside.rename(self._folder)
            except BaseException:
                shutil.rmtree(self._aside, ignore_errors=True)
                raise
            sync_folder(self._folder.parent)
        return Written(len(offers), len(self._parts), size, self._known.expires)

    def _check_room(self) -> None:
        """Raises StorageError when the disk cannot take it."""
        needed = self._total + len(self._parts) * self._overhead
        room = shutil.disk_usage(self._folder.parent).free
        if needed > room:
            raise StorageError(
                f"The bundle needs {needed} bytes at {self._folder.parent}, and the disk has "
                f"{room}."
            )

    def _write_part(self, folder: Path, offers: Sequence[Offer], show: Show | None) -> None:
        for path, data in self._known.files.items():
            _write(folder / path, data)
        (folder / TARGETS).mkdir(parents=True, exist_ok=True)
        _write(folder / contents.NAME, self._contents(self._parts).encode())

        def progress(count: int) -> None:
            self._done += count
            if show:
                show(min(self._done, self._total), self._total)

        for offer in offers:
            row = self._archives.get(offer.sha256)
            for path, size, sha256, here in (
                (offer.archive, offer.size, offer.sha256, row and row.archive),
                (offer.meta, offer.meta_size, offer.meta_sha256, row and f"{row.name}.meta.json"),
            ):
                stored = f"{TARGETS}/{stored_path(path, sha256)}"
                if not (here and self._copied(here, folder / stored, size, sha256, progress)):
                    self._place.fetch(stored, folder / stored, size, sha256, progress)

    def _copied(
        self, name: str, to: Path, size: int, sha256: str, progress: Callable[[int], None]
    ) -> bool:
        """Whether the very bytes are in ``arch/``."""
        try:
            self._here.fetch(name, to, size, sha256, progress)
        except UpstreamError as error:
            log.info("%s is fetched from the patch source: %s", name, error)
            return False
        return True

    def _verify(self) -> None:
        """Read what was written as the other side will, on its first time."""
        root = next(iter(self._known.files.values()))
        own = self._aside / ".verified"
        metadata.current(Folder(self._part_folder(0)), own, root, self._products)
        shutil.rmtree(own)

    def _part_folder(self, number: int) -> Path:
        return self._aside / part_name(number) if self._is_split else self._aside

    def _contents(self, parts: Sequence[Sequence[Offer]]) -> contents.Contents:
        names = [part_name(number) if self._is_split else "" for number in range(len(parts))]
        return contents.Contents(
            format=contents.FORMAT,
            made=datetime.now(UTC).isoformat(timespec="seconds"),
            source=self._known.roots[0],
            expires=self._known.expires.isoformat(timespec="seconds"),
            metadata=self._known.versions,
            parts={
                name: self._known.size + sum(map(weight, part))
                for name, part in zip(names, parts, strict=True)
                if name
            },
            files=[
                contents.File(f"{TARGETS}/{stored_path(path, sha256)}", size, sha256, name)
                for name, part in zip(names, parts, strict=True)
                for offer in part
                for path, size, sha256 in (
                    (offer.archive, offer.size, offer.sha256),
                    (offer.meta, offer.meta_size, offer.meta_sha256),
                )
            ],
        )


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
