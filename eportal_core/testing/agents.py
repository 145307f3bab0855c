"""Servers that ask a portal, by the requests that an agent makes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import httpx2
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from eportal_core.patchsets.bundle import BUNDLE_NAME
from eportal_core.patchsets.spec import PatchsetSpec
from eportal_core.testing.content import bundled_level, files

#: Sends a request: method, path, and what else httpx2 takes.
Send: TypeAlias = Callable[..., httpx2.Response]


@dataclass(frozen=True)
class View:
    """What a server gets for a target.

    latest: the level that it is told, None when there are no patches. levels: those of which it
    gets every file, byte for byte. bundled: the level in the bundle, for userspace products.
    """

    latest: int | None = None
    levels: frozenset[int] = frozenset()
    bundled: int | None = None


@dataclass(frozen=True)
class Answer:
    """An answer of the portal."""

    status: int
    body: bytes


class Agents:
    """The agent side of a portal, and the addresses of one product on it."""

    def __init__(self, send: Send, spec: PatchsetSpec, key: str) -> None:
        """``key`` is any key of the portal."""
        self._send = send
        self._spec = spec
        self._key = key

    def register(self, key: str) -> str:
        """Register a server; returns its id."""
        answer = self._send("POST", "/admin/api/register", data={"key": key, "hostname": "host"})
        assert answer.status_code == 200, answer.text
        server: str = answer.json()["server_id"]
        return server

    def ask(self, path: str, server: str | None) -> Answer:
        """Ask as ``server``, or without credentials."""
        auth = None if server is None else (server, "any")
        answer = self._send("GET", path, auth=auth)
        return Answer(answer.status_code, answer.content)

    def latest_path(self, target: str, feed: str = "") -> str:
        suffix = ".v1" if self._spec.product.checkin else ""
        return f"{_prefix(feed)}{self._spec.path}/{target}/latest{suffix}"

    def file_path(self, target: str, level: int, name: str, feed: str = "") -> str:
        return f"{_prefix(feed)}{self._spec.path}/{target}/{level}/{name}"

    def bundle_path(self, target: str, feed: str = "") -> str:
        return f"{_prefix(feed)}/userspace/any/{target}/{BUNDLE_NAME}"

    def views(
        self, server: str, targets: Sequence[str], levels: Collection[int], feed: str = ""
    ) -> list[View]:
        """What ``server`` gets for each of ``targets``, of ``levels`` at most.

        ``feed``, if given, begins the paths. A level of which it gets a part, or other bytes, is an
        error here.
        """
        # After a registration the agent side has read all changes, and not a moment later.
        self.register(self._key)
        return [self._view(server, target, levels, feed) for target in targets]

    def _view(self, server: str, target: str, levels: Collection[int], feed: str) -> View:
        latest = self._found(self.latest_path(target, feed), server)
        whole = frozenset(level for level in levels if self._has(server, target, level, feed))
        bundle = None
        if self._spec.userspace:
            bundle = self._found(self.bundle_path(target, feed), server)
        return View(
            None if latest is None else int(latest),
            whole,
            None if bundle is None else bundled_level(self._spec, bundle, target, levels),
        )

    def _has(self, server: str, target: str, level: int, feed: str) -> bool:
        expected = files(self._spec, target, level)
        found = {
            name: self._found(self.file_path(target, level, name, feed), server)
            for name in expected
        }
        if all(content is None for content in found.values()):
            return False
        wrong = [name for name in expected if found[name] != expected[name]]
        assert not wrong, f"level {level} of {target} is not what was packed: {wrong}"
        return True

    def _found(self, path: str, server: str) -> bytes | None:
        answer = self.ask(path, server)
        assert answer.status in (200, 404), f"{path} answers {answer}"
        return answer.body if answer.status == 200 else None


@contextmanager
def asking(app: ASGIApp) -> Iterator[Send]:
    """Requests to ``app`` without a network; it starts before the block and stops after it."""
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    client = httpx2.AsyncClient(transport=transport, base_url="http://portal")
    # It runs the application in a thread of its own; its own requests cost three times as much.
    with TestClient(app) as running:
        assert running.portal is not None
        call = running.portal.call

        def send(method: str, path: str, **options: Any) -> httpx2.Response:
            return call(partial(client.request, method, path, **options))

        yield send
        call(client.aclose)


def _prefix(feed: str) -> str:
    return f"/{feed}" if feed else ""
