"""Patch sources whose files are opened: those in a directory, and those that a plugin reads."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from eportal_core.errors import PluginError, PortalError, UpstreamError, WrongBytes
from eportal_core.storage import disk_errors, written_aside

if TYPE_CHECKING:
    from eportal_core.portal import Portal

SETTING = "PATCH_SOURCE_URL"
_PIECE = 1 << 16

Progress = Callable[[int], None]


class Opened:
    """A ``Place`` whose files are opened and read; may be used by several threads."""

    def opened(self, path: str) -> AbstractContextManager[BinaryIO]:
        """The file ``path``, until the block ends.

        Raises:
            UpstreamError: it cannot be had; ``answered`` is 404 when it is not there.
        """
        raise NotImplementedError

    def read(self, path: str, limit: int) -> bytes:
        data = bytearray()
        with self.opened(path) as file:
            while piece := self._piece(file, limit + 1 - len(data), path):
                data += piece
        if len(data) > limit:
            raise WrongBytes(f"{self}/{path} is longer than {limit} bytes.")
        return bytes(data)

    def fetch(
        self, path: str, to: Path, size: int, sha256: str, progress: Progress | None = None
    ) -> None:
        self.copy(path, to, size, ("sha256", sha256), progress)

    def copy(
        self,
        path: str,
        to: Path,
        size: int,
        checksum: tuple[str, str],
        progress: Progress | None = None,
    ) -> None:
        """As ``fetch``; checksum: name of the algorithm, and the hex digest."""
        found, digest = 0, hashlib.new(checksum[0])
        with disk_errors(to.parent), self.opened(path) as file:
            to.parent.mkdir(parents=True, exist_ok=True)
            with written_aside(to, to.with_name(f"{to.name}.part")) as copy:
                while piece := self._piece(file, _PIECE, path):
                    found += len(piece)
                    if found > size:
                        raise WrongBytes(f"{self}/{path} is longer than {size} bytes.")
                    digest.update(piece)
                    copy.write(piece)
                    if progress:
                        progress(len(piece))
                if found != size:
                    raise WrongBytes(f"{self}/{path} has {found} bytes, not {size}.")
                if digest.hexdigest() != checksum[1]:
                    raise WrongBytes(f"{self}/{path} has other bytes than its {checksum[0]} says.")

    def close(self) -> None:
        pass

    def _piece(self, file: BinaryIO, size: int, path: str) -> bytes:
        """The next bytes; what cannot be read is the source's fault, not that of our disk."""
        try:
            piece = file.read(size) if size > 0 else b""
        except PortalError:
            raise
        # The file may be a plugin's, and raise anything.
        except Exception as error:
            raise _unreadable(f"{self}/{path}", error) from error
        if not isinstance(piece, bytes):
            raise UpstreamError(f"{self}/{path} was not opened for reading bytes.")
        return piece


class Folder(Opened):
    """A source in a directory, which may be read-only; links that lead out are not followed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    @contextmanager
    def opened(self, path: str) -> Iterator[BinaryIO]:
        name = self._folder / path
        try:
            place = self._folder.resolve(strict=True)
            real = name.resolve(strict=True)
            if not real.is_relative_to(place):
                raise UpstreamError(f"{name} leads out of the patch source by a link.")
            # Opening a pipe would wait for somebody to write into it.
            descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            if not self._folder.is_dir():
                raise UpstreamError(
                    f"{self._folder} is no directory; mount the disk that {SETTING} names."
                ) from None
            raise UpstreamError(f"{name} does not exist.", answered=404) from None
        except (OSError, ValueError, RuntimeError) as error:
            raise _unreadable(str(name), error) from error
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UpstreamError(f"{name} is not a file.")
            yield file


class OfPlugin(Opened):
    """A source at an address that plugins read: ``eportal_fetch``."""

    def __init__(self, portal: Portal, url: str) -> None:
        self._portal = portal
        self._url = url.rstrip("/")

    def __str__(self) -> str:
        return self._url

    @contextmanager
    def opened(self, path: str) -> Iterator[BinaryIO]:
        try:
            file: BinaryIO | None = self._portal.ask(
                "eportal_fetch", portal=self._portal, url=self._url, path=path
            )
        except FileNotFoundError:
            raise UpstreamError(f"{self}/{path} does not exist.", answered=404) from None
        except (OSError, PluginError) as error:
            raise _unreadable(f"{self}/{path}", error) from error
        if file is None:
            raise UpstreamError(f"No plugin knows how to read {self}.")
        try:
            yield file
        finally:
            # What was read counts; what a plugin answers may be closed badly, or not at all.
            with suppress(Exception):
                file.close()


def _unreadable(name: str, error: Exception) -> UpstreamError:
    reason = getattr(error, "strerror", None) or str(error).rstrip(".") or type(error).__name__
    # A plugin may quote what a server said.
    said = "".join(filter(str.isprintable, " ".join(reason.split())))
    return UpstreamError(f"{name} cannot be read: {said}.")
