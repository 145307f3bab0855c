"""Where a patch source is: behind an address, or in a directory. Nothing is believed here."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import quote, unquote

import requests

from eportal_core import http
from eportal_core.config import Config
from eportal_core.downloads import download
from eportal_core.errors import InvalidValue, UpstreamError, WrongBytes
from eportal_core.storage import disk_errors, written_aside

SETTING = "PATCH_SOURCE_URL"
_PIECE = 1 << 16
_LOCAL = re.compile(r"file:(//(localhost)?)?/", re.IGNORECASE)

Progress = Callable[[int], None]


class Place(Protocol):
    """Where the files of a source are; ``path`` is relative, as ``layout`` has it."""

    def read(self, path: str, limit: int) -> bytes:
        """A small file, at most ``limit`` bytes.

        Raises:
            WrongBytes: it is longer.
            UpstreamError: it cannot be had; ``answered`` is 404 when it is not there.
        """

    def fetch(
        self, path: str, to: Path, size: int, sha256: str, progress: Progress | None = None
    ) -> None:
        """A large file, whole, verified and durable at ``to``, or nothing.

        Raises:
            WrongBytes: it has another size or hash.
            UpstreamError: it cannot be had.
            StorageError: the disk refused.
        """

    def close(self) -> None:
        """Give up connections."""


def place_of(url: str, config: Config) -> Place:
    """The place that ``url`` names; an absolute path is one of a directory.

    Raises:
        InvalidValue: it names none.
    """
    folder = unquote(_LOCAL.sub("/", url)) if _LOCAL.match(url) else url
    if folder.startswith("/"):
        return Folder(Path(folder))
    if url.partition("://")[0].lower() not in ("http", "https"):
        raise InvalidValue(
            f"{SETTING} must be an address such as https://patches.example.com, or the absolute "
            f"path of a directory."
        )
    return Web(http.check_address(url, SETTING), config)


class Web:
    """A source behind an http or https address; may be used by several threads."""

    def __init__(self, url: str, config: Config) -> None:
        self._url = url
        self._config = config
        self._of_thread = threading.local()
        self._sessions: list[requests.Session] = []

    def __str__(self) -> str:
        return http.shown(self._url)

    def read(self, path: str, limit: int) -> bytes:
        with _identified():
            return http.read(self._session(), self._address(path), limit)

    def fetch(
        self, path: str, to: Path, size: int, sha256: str, progress: Progress | None = None
    ) -> None:
        with _identified():
            download(
                self._session(),
                self._address(path),
                to,
                limit=size,
                size=size,
                checksum=("sha256", sha256),
                progress=progress,
            )

    def close(self) -> None:
        for session in self._sessions:
            session.close()

    def _address(self, path: str) -> str:
        return f"{self._url}/{quote(path)}"

    def _session(self) -> requests.Session:
        if not hasattr(self._of_thread, "session"):
            session = http.new_session(
                self._config,
                self._config["PATCH_SOURCE_USER"],
                self._config["PATCH_SOURCE_PASSWORD"],
            )
            self._sessions.append(session)
            self._of_thread.session = session
        found: requests.Session = self._of_thread.session
        return found


class Folder:
    """A source in a directory, which may be read-only; links that lead out of it are not followed.

    May be used by several threads.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    def read(self, path: str, limit: int) -> bytes:
        with self._opened(path) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise WrongBytes(f"{self._folder / path} is longer than {limit} bytes.")
        return data

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
        name = self._folder / path
        found, digest = 0, hashlib.new(checksum[0])
        with disk_errors(to.parent), self._opened(path) as file:
            to.parent.mkdir(parents=True, exist_ok=True)
            with written_aside(to, to.with_name(f"{to.name}.part")) as copy:
                while piece := _read(file, name):
                    found += len(piece)
                    if found > size:
                        raise WrongBytes(f"{name} is longer than {size} bytes.")
                    digest.update(piece)
                    copy.write(piece)
                    if progress:
                        progress(len(piece))
                if found != size:
                    raise WrongBytes(f"{name} has {found} bytes, not {size}.")
                if digest.hexdigest() != checksum[1]:
                    raise WrongBytes(f"{name} has other bytes than its {checksum[0]} says.")

    def close(self) -> None:
        pass

    @contextmanager
    def _opened(self, path: str) -> Iterator[BinaryIO]:
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
            raise _unreadable(name, error) from error
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UpstreamError(f"{name} is not a file.")
            yield file


def _read(file: BinaryIO, name: Path) -> bytes:
    """The next piece; a disk that cannot be read is the source's fault, not that of ours."""
    try:
        return file.read(_PIECE)
    except OSError as error:
        raise _unreadable(name, error) from error


def _unreadable(name: Path, error: Exception) -> UpstreamError:
    return UpstreamError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}.")


@contextmanager
def _identified() -> Iterator[None]:
    """Tell what to set when the source does not know who asks."""
    try:
        yield
    except UpstreamError as error:
        if error.answered != 401:
            raise
        raise UpstreamError(
            f"{error} It wants a user name and password, or other ones: set PATCH_SOURCE_USER and "
            f"PATCH_SOURCE_PASSWORD.",
            answered=401,
        ) from error
