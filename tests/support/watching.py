"""An agent that never stops asking, and remembers what it was told."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import requests

from tests.support.polling import eventually

TIMEOUT = 10


class Watcher(threading.Thread):
    """Asks for the latest level of ``target`` and fetches patches, until the block ends.

    files: path below the portal's address -> bytes that it may answer. withdrawn: those of them
    that may also be missing; the others have to be there at any time.
    Whatever else is answered is one sentence in ``complaints``.
    """

    def __init__(
        self, url: str, server: str, target: str, files: Mapping[str, bytes], withdrawn: set[str]
    ) -> None:
        super().__init__(name="watcher", daemon=True)
        self._url = url
        self._server = server
        self._target = target
        self._sums = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
        self._withdrawn = withdrawn
        self._stopping = threading.Event()
        self.complaints: list[str] = []
        #: How often each level was named as the latest, and each path answered with each status.
        self.levels: Counter[str] = Counter()
        self.answers: Counter[tuple[str, int]] = Counter()

    def run(self) -> None:
        with requests.Session() as session:
            session.auth = (self._server, "any")
            # Nothing waits for an event here: it lets the others have the processor.
            while not self._stopping.wait(0.005):
                try:
                    self._ask(session)
                except requests.RequestException as error:
                    self.complaints.append(f"no whole answer: {error}")

    def wait_for(self, level: str) -> None:
        """Return when ``level`` was named once more."""
        told = self.levels[level]
        eventually(lambda: self.levels[level] > told)

    def _ask(self, session: requests.Session) -> None:
        answer = session.get(f"{self._url}/{self._target}/latest.v1", timeout=TIMEOUT)
        if answer.status_code != 200:
            self.complaints.append(f"latest: {answer.status_code} {answer.text}")
        self.levels[answer.text] += 1
        for path, expected in self._sums.items():
            answer = session.get(f"{self._url}{path}", timeout=TIMEOUT)
            self.answers[path, answer.status_code] += 1
            if answer.status_code == 200:
                if hashlib.sha256(answer.content).hexdigest() != expected:
                    self.complaints.append(f"{path}: other bytes")
            elif answer.status_code != 404 or path not in self._withdrawn:
                self.complaints.append(f"{path}: {answer.status_code} {answer.text}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self.join()
