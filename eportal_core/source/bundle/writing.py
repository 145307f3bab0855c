"""Write the files of a bundle: aside first, so that it is there as a whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from eportal_core.errors import Conflict, StorageError
from eportal_core.patchsets.progress import progress_bar
from eportal_core.portal import Portal
from eportal_core.source import metadata
from eportal_core.source.bundle import contents
from eportal_core.source.bundle.packing import Item, Piece, packed, part_name
from eportal_core.source.bundle.stock import Stock
from eportal_core.source.files import Folder
from eportal_core.source.held import HeldMetadata
from eportal_core.source.layout import TARGETS
from eportal_core.storage import disk_errors, is_folder, sync_folder, sync_tree


@dataclass(frozen=True)
class Written:
    """What a bundle has, in words; size: bytes of all parts.

    expires: when its metadata is no longer believed, UTC; None when there are no patchsets in it.
    """

    told: str
    parts: int
    size: int
    expires: datetime | None


class Writer:
    """Writes one bundle. part_size: bytes, None for one part."""

    def __init__(self, portal: Portal, folder: Path, stock: Stock, part_size: int | None) -> None:
        self._folder = folder
        self._aside = folder.with_name(f".{folder.name}.unfinished")
        self._stock = stock
        self._products = list(portal.products)
        self._is_split = part_size is not None
        self._common = sum(piece.size for piece in stock.everywhere)
        if stock.known:
            self._common += stock.known.size
        # What is in every part is largest when each item has a part of its own.
        longest = len(self._contents([[item] for item in stock.items]).encode())
        self._overhead = self._common + longest
        if part_size is None:
            self._parts = [list(stock.items)]
        else:
            self._parts = packed(stock.items, part_size, self._overhead)

    def write(self) -> Written:
        """Write all of it.

        Raises:
            Conflict: somebody else writes it.
            UpstreamError: a file cannot be had.
            StorageError: the disk refused; nothing is left.
        """
        with disk_errors(self._folder), self._alone():
            try:
                self._check_room()
                self._write_parts()
                if self._stock.known:
                    self._verify(self._stock.known)
                size = sum(path.stat().st_size for path in self._aside.rglob("*") if path.is_file())
                sync_tree(self._aside)
                self._aside.rename(self._folder)
            except BaseException:
                shutil.rmtree(self._aside, ignore_errors=True)
                raise
            sync_folder(self._folder.parent)
        expires = self._stock.known.expires if self._stock.known else None
        return Written(self._stock.told, len(self._parts), size, expires)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Have the folder aside for oneself, and empty: a crash may have left it."""
        self._aside.mkdir(exist_ok=True)
        descriptor = os.open(self._aside, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if not _locked(descriptor, self._aside):
                raise Conflict(f"{self._folder} is being written already.")
            for path in self._aside.iterdir():
                shutil.rmtree(path) if is_folder(path) else path.unlink()
            if self._folder.exists():
                self._aside.rmdir()
                raise Conflict(f"{self._folder} is there already: somebody else was faster.")
            yield
        finally:
            os.close(descriptor)

    def _check_room(self) -> None:
        """Raises StorageError when the disk cannot take it."""
        needed = sum(item.size for item in self._stock.items) + len(self._parts) * self._overhead
        room = shutil.disk_usage(self._folder.parent).free
        if needed > room:
            raise StorageError(
                f"The bundle needs {needed} bytes at {self._folder.parent}, and the disk has "
                f"{room}."
            )

    def _write_parts(self) -> None:
        said = self._contents(self._parts).encode()
        work: list[tuple[Path, Piece]] = []
        for number, items in enumerate(self._parts):
            folder = self._part_folder(number)
            _write(folder / contents.NAME, said)
            if self._stock.known:
                for path, data in self._stock.known.files.items():
                    _write(folder / path, data)
                (folder / TARGETS).mkdir()
            pieces = [piece for item in items for piece in item.pieces]
            work += [(folder / each.path, each) for each in [*self._stock.everywhere, *pieces]]
        done, total = 0, sum(piece.size for _, piece in work)
        with progress_bar(f"Writing {self._stock.told}") as show:

            def progress(count: int) -> None:
                nonlocal done
                done += count
                if show:
                    show(min(done, total), total)

            for to, piece in work:
                piece.write(to, progress)

    def _verify(self, known: HeldMetadata) -> None:
        """Read what was written as the other side will, on its first time."""
        root = next(iter(known.files.values()))
        own = self._aside / ".verified"
        metadata.current(Folder(self._part_folder(0)), own, root, self._products)
        shutil.rmtree(own)

    def _part_folder(self, number: int) -> Path:
        return self._aside / part_name(number) if self._is_split else self._aside

    def _contents(self, parts: Sequence[Sequence[Item]]) -> contents.Contents:
        names = [part_name(number) if self._is_split else "" for number in range(len(parts))]
        known = self._stock.known
        placed = [("", piece) for piece in self._stock.everywhere]
        placed += [
            (name, piece)
            for name, items in zip(names, parts, strict=True)
            for item in items
            for piece in item.pieces
        ]
        return contents.Contents(
            format=contents.FORMAT,
            made=datetime.now(UTC).isoformat(timespec="seconds"),
            source=known.roots[0] if known else "",
            expires=known.expires.isoformat(timespec="seconds") if known else "",
            metadata=known.versions if known else {},
            parts={
                name: self._common + sum(item.size for item in items)
                for name, items in zip(names, parts, strict=True)
                if name
            },
            files=[
                contents.File(piece.path, piece.size, ":".join(piece.checksum), name)
                for name, piece in placed
            ],
            carried=dict(self._stock.carried),
        )


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _locked(descriptor: int, path: Path) -> bool:
    """Whether the folder is ours alone now; whoever had it may have renamed it meanwhile."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False
