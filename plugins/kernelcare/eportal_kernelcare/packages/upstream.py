"""The upstream repository: one file at a time, and not at all while it is away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import requests

from eportal_core import NotFound, UpstreamError, WrongBytes, download, http
from eportal_kernelcare.packages.names import hash_in, is_final

if TYPE_CHECKING:
    from eportal_core import Portal

log = logging.getLogger("eportal.packages")

#: Seconds for which an upstream that did not answer is not asked again.
PAUSE = 30
#: A download that stops is gone on with, so many times in all.
_TRIES = 5
#: Seconds between two lines about an upstream that fails, or a disk that refuses.
LOG_PERIOD = 300
#: How a web page begins, which is looked for in so many bytes.
_PAGES = (b"<!doctype html", b"<html")
_START = 1024
_BLANK = b"\xef\xbb\xbf \t\r\n"


class Upstream:
    """Files below ``url``; methods may be called in any thread."""

    def __init__(self, portal: Portal, url: str, user: str | None, password: str | None) -> None:
        self.url = url
        self._portal = portal
        self._user = user
        self._password = password
        self._sessions: list[requests.Session] = []
        self._lock = threading.Lock()
        self._away_until = 0.0
        self._told: float | None = None

    def fetch(
        self, path: str, place: Path, limit: int, conditions: Mapping[str, str]
    ) -> Mapping[str, str] | None:
        """Bring ``path`` to ``place``, at most ``limit`` bytes; returns the answer's headers.

        None when, by ``conditions``, the copy that is here is still right.

        Raises:
            NotFound: the upstream has no such file.
            UpstreamError: it does not answer, or answers anything else.
            StorageError: the disk refused.
        """
        if time.monotonic() < self._away_until:
            raise UpstreamError(f"{http.shown(self.url)} did not answer a moment ago.")
        try:
            headers = self._fetch(path, place, limit, conditions)
        except UpstreamError as error:
            if error.answered == 304 and conditions:
                headers = None
            elif error.answered in (404, 410):
                self._well()
                raise NotFound(f"The upstream has no {path}.") from None
            else:
                self._complain(error)
                raise
        self._well()
        return headers

    def _fetch(
        self, path: str, place: Path, limit: int, conditions: Mapping[str, str]
    ) -> Mapping[str, str]:
        url = f"{self.url}/{quote(path, safe='/~')}"
        came = tries = 0

        def count(size: int) -> None:
            nonlocal came
            came += size

        with self._session() as session:
            while True:
                came, tries = 0, tries + 1
                try:
                    headers = download(
                        session,
                        url,
                        place,
                        limit=limit,
                        checksum=hash_in(path),
                        headers=conditions,
                        progress=count,
                    )
                except WrongBytes:
                    # Once more: the first bytes may have come earlier, of another file. That this
                    # one is refused does not say that others cannot be had.
                    if tries > 1:
                        raise
                except UpstreamError as error:
                    if not error.answered and not came:
                        self._away_until = time.monotonic() + PAUSE
                    if error.answered or not came or tries == _TRIES:
                        raise
                else:
                    if _is_page(path, place, headers):
                        place.unlink()
                        raise UpstreamError(f"The upstream sends a web page instead of {path}.")
                    return headers

    @contextmanager
    def _session(self) -> Iterator[requests.Session]:
        """One that no other thread has; it keeps its connection for the next."""
        try:
            session = self._sessions.pop()
        except IndexError:
            session = http.new_session(self._portal.config, self._user, self._password, tries=1)
        try:
            yield session
        finally:
            self._sessions.append(session)

    def _complain(self, error: UpstreamError) -> None:
        with self._lock:
            now = time.monotonic()
            if self._told is None or now - self._told > LOG_PERIOD:
                self._told = now
                log.warning("%s What is in the cache is served without asking.", error)

    def _well(self) -> None:
        with self._lock:
            if self._told is not None:
                self._told = None
                log.info("%s answers again", http.shown(self.url))


def _is_page(path: str, came: Path, headers: Mapping[str, str]) -> bool:
    """Whether it asks to log in, or says sorry: that must not replace a file of the repository.

    What is of that type is no package. Names without an ending have it on some servers whatever
    they are: there the first bytes tell.
    """
    if not headers.get("Content-Type", "").startswith("text/html"):
        return False
    if is_final(path):
        return True
    if path.endswith((".html", ".htm")):
        return False
    with came.open("rb") as file:
        return file.read(_START).lstrip(_BLANK).lower().startswith(_PAGES)
