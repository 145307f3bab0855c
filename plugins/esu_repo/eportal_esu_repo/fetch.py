"""Fetch many files at once, and go on when one of them cannot be had."""

from __future__ import annotations

import hashlib
import logging
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from eportal_core import StorageError, UpstreamError
from eportal_esu_repo.metadata import Remote
from eportal_esu_repo.repository import Repository
from eportal_esu_repo.upstream import Origin

log = logging.getLogger("eportal.esu")

_THREADS = 4
#: So many failures in a row mean that the upstream is away, and not that a file is bad.
_ENOUGH = 8


class Fetch:
    """Fetches files of one repository into its folder for what comes in, several at a time.

    After an interruption the next one goes on where it stopped: a file's name there tells its
    checksum and its place.
    """

    def __init__(self, origin: Origin, repository: Repository) -> None:
        self._origin = origin
        self._repository = repository
        self._show: Callable[[int, int], None] | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._failures = 0
        self._done = self._total = 0

    def place(self, file: Remote) -> Path:
        """Where a file waits for its switch."""
        name = hashlib.sha256(f"{file.digest} {file.href}".encode()).hexdigest()
        return self._repository.incoming / name

    def can_have(self, file: Remote) -> bool:
        """Whether it is here already, or there to be fetched."""
        return self.place(file).exists() or self._origin.has(file.href)

    def check_room(self, files: Sequence[Remote]) -> None:
        """Refuse to begin what the disk cannot take.

        Raises:
            StorageError: it has less room than what is still to come of ``files`` needs.
        """
        need = sum(file.size - self._has(file) for file in files)
        room = shutil.disk_usage(self._repository.folder).free
        if need > room:
            raise StorageError(f"The packages need {need} bytes on the disk, which has {room}.")

    def _has(self, file: Remote) -> int:
        place = self.place(file)
        part = place.with_name(f"{place.name}.part")
        return next((path.stat().st_size for path in (place, part) if path.exists()), 0)

    def __call__(
        self,
        files: Sequence[Remote],
        placed: Callable[[Remote], object],
        show: Callable[[int, int], None] | None = None,
    ) -> list[str]:
        """Fetch ``files``, each verified, and tell ``placed`` of each; returns what went wrong.

        show: told how many bytes came, and of how many.

        Raises:
            StorageError: the disk refused.
        """
        self._show = show
        self._done, self._total = 0, sum(file.size for file in files)
        self._failures = 0
        self._stopping.clear()
        with ThreadPoolExecutor(_THREADS) as threads:
            try:
                work = [threads.submit(self._fetch, file, placed) for file in files]
                return [fault for each in work if (fault := each.result())]
            finally:
                self._stopping.set()

    def _fetch(self, file: Remote, placed: Callable[[Remote], object]) -> str:
        if self._stopping.is_set():
            return f"{file.href} was not tried."
        try:
            if not self.place(file).exists():
                self._origin.fetch(
                    file.href, self.place(file), file.size, file.checksum, self._count
                )
            placed(file)
        except UpstreamError as error:
            log.warning("%s", error)
            with self._lock:
                self._failures += 1
                if self._failures >= _ENOUGH:
                    self._stopping.set()
            return str(error)
        with self._lock:
            self._failures = 0
        return ""

    def _count(self, size: int) -> None:
        if self._stopping.is_set():
            raise UpstreamError("The update was stopped.")
        if self._show:
            with self._lock:
                self._done += size
                self._show(min(self._done, self._total), self._total)
