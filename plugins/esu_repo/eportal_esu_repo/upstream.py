"""Where the repositories come from, and whose signature they must bear."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from eportal_core import InvalidValue, download, http
from eportal_esu_repo.settings import repositories

if TYPE_CHECKING:
    import requests

    from eportal_core import Portal


class Origin(Protocol):
    """Where one repository comes from; several threads may use it. Paths are below it."""

    def has(self, path: str) -> bool:
        """Whether there is something to ask for, as far as that can be known before."""

    def read(self, path: str, limit: int) -> bytes:
        """A small file, at most ``limit`` bytes.

        Raises:
            UpstreamError: it cannot be had, or is longer.
        """

    def fetch(
        self,
        path: str,
        to: Path,
        size: int,
        checksum: tuple[str, str],
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """A file, whole and verified at ``to``, or nothing.

        Raises:
            UpstreamError: it cannot be had, or has other bytes.
            StorageError: the disk refused.
        """


class Web:
    """A repository below ESU_URL."""

    def __init__(self, portal: Portal, repository: str) -> None:
        self._config = portal.config
        self._url = f"{address(portal)}/{quote(repository)}"
        self._own = threading.local()

    def has(self, path: str) -> bool:
        return True

    def read(self, path: str, limit: int) -> bytes:
        return http.read(self._session(), self._address(path), limit)

    def fetch(
        self,
        path: str,
        to: Path,
        size: int,
        checksum: tuple[str, str],
        progress: Callable[[int], None] | None = None,
    ) -> None:
        url = self._address(path)
        download(
            self._session(), url, to, limit=size, size=size, checksum=checksum, progress=progress
        )

    def _address(self, path: str) -> str:
        return f"{self._url}/{quote(path)}"

    def _session(self) -> requests.Session:
        """One for each thread."""
        if not hasattr(self._own, "session"):
            self._own.session = http.new_session(
                self._config, self._config["ESU_USER"], self._config["ESU_PASSWORD"]
            )
        session: requests.Session = self._own.session
        return session


@dataclass(frozen=True)
class Rules:
    """What a repository must keep to. key: file of public keys. Limits are in bytes."""

    key: Path
    metadata_limit: int
    package_limit: int


def address(portal: Portal) -> str:
    """``ESU_URL``.

    Raises:
        InvalidValue: it is not set, or is no address.
    """
    url = portal.config["ESU_URL"]
    if url is None:
        raise InvalidValue("No source is set: ESU_URL must tell where the repositories are.")
    return http.check_address(url, "ESU_URL")


def rules(portal: Portal) -> Rules:
    """What the settings say, wherever repositories come from.

    Raises:
        InvalidValue: something that is needed is not set, or cannot be.
    """
    config = portal.config
    key = config["ESU_GPG_KEY"]
    if key is None:
        raise InvalidValue(
            "ESU_GPG_KEY is not set: nothing is mirrored whose signature cannot be checked."
        )
    if not repositories(portal):
        raise InvalidValue("ESU_REPOSITORIES is empty: name the repositories below ESU_URL.")
    return Rules(Path(key), config["ESU_METADATA_MAX_BYTES"], config["ESU_PACKAGE_MAX_BYTES"])
