"""Where a patch source is: behind an address, in a directory, or where a plugin finds it.

Nothing is believed here.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote

import requests

from eportal_core import http
from eportal_core.config import Config
from eportal_core.downloads import download
from eportal_core.errors import InvalidValue, UpstreamError
from eportal_core.portal import Portal
from eportal_core.source.files import SETTING, Folder, OfPlugin, Progress

_LOCAL = re.compile(r"file:(//(localhost)?)?/", re.IGNORECASE)
#: What a plugin may know. Source: RFC 3986, 3.1. No user name, ? or #: secrets have settings.
_OTHER = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:[!-\"$->A-~]+")


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


def place_of(url: str, portal: Portal) -> Place:
    """The place that ``url`` names; an absolute path is one of a directory.

    Raises:
        InvalidValue: it names none.
    """
    folder = unquote(_LOCAL.sub("/", url)) if _LOCAL.match(url) else url
    if folder.startswith("/"):
        return Folder(Path(folder))
    scheme = url.partition(":")[0].lower()
    if scheme in ("http", "https"):
        return Web(http.check_address(url, SETTING), portal.config)
    if scheme != "file" and _OTHER.fullmatch(url) and portal.plugins.implementing("eportal_fetch"):
        return OfPlugin(portal, url)
    raise InvalidValue(
        f"{SETTING} must be an address such as https://patches.example.com, or the absolute "
        f"path of a directory."
    )


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
