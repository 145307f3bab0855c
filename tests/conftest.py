"""The worlds that tests state: a portal in this process, its agent side, a command line."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from starlette.testclient import TestClient

from eportal_core import db
from eportal_core.agent.app import agent_app
from eportal_core.auth import passwords
from eportal_core.portal import Portal
from tests.support.commands import CommandLine
from tests.support.inprocess import InProcess
from tests.support.mortal import Mortals, mortals
from tests.support.opening import opened
from tests.support.patches import DB, WEB
from tests.support.plugins import Installed
from tests.support.publishing import Publisher
from tests.support.serving import Served, serving
from tests.support.updating import Below

#: Files that take minutes: begun last, they would have the other processes wait at the end.
LONGEST = (
    "test_kill.py",
    "test_ui_tour.py",
    "test_examples.py",
    "test_patch_source.py",
    "test_ui_servers.py",
    "test_source_kill.py",
    "test_updates_failing.py",
    "test_ui_patchsets.py",
    "test_ui_shell.py",
    "test_real_kernel.py",
)

# Commands that tests start would inherit that it is ignored, as in a shell's background.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture(autouse=True, scope="session")
def cheap_passwords() -> Iterator[None]:
    """Hashes of passwords cost nothing in this process; those of real portals are real ones."""
    cheap = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    with mock.patch.object(passwords, "_hasher", return_value=cheap):
        yield


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "var"


@pytest.fixture
def portal(data_dir: Path) -> Iterator[Portal]:
    """A fresh portal with the installed plugins; the test has a database connection."""
    fresh = opened(data_dir, CHECKIN_FLUSH_PERIOD=0.02)
    with db.connection():
        yield fresh
    db.close()


@pytest.fixture
def agent(portal: Portal) -> Iterator[TestClient]:
    """The agent side of ``portal``, with its writer and follower running."""
    with TestClient(agent_app(portal), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def cli(data_dir: Path) -> CommandLine:
    """``kc.eportal`` on an empty data directory."""
    return CommandLine(data_dir, {})


@pytest.fixture
def kc(data_dir: Path) -> InProcess:
    """``kc.eportal`` on an empty data directory, run in this process."""
    return InProcess(data_dir)


@pytest.fixture
def served(data_dir: Path) -> Iterator[Served]:
    """A real portal on an empty data directory, both processes running."""
    with serving(data_dir, CHECKIN_FLUSH_PERIOD="0.05") as portal:
        yield portal


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    """A source with two patchsets."""
    publisher = Publisher.start(tmp_path / "publisher")
    first = publisher.pack("K20260101_01", {WEB: 1, DB: 1})
    publisher.list(first, publisher.pack("K20260102_01", {WEB: 2}))
    return publisher


@pytest.fixture
def below(kc: InProcess, publisher: Publisher) -> Below:
    """A portal that reads the source of ``publisher``."""
    kc.ok("feed")
    return Below(kc, publisher.settings)


@pytest.fixture(scope="module")
def run() -> Iterator[Mortals]:
    """Commands that die, or find the disk full, at any step."""
    with mortals() as process:
        yield process


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Installed:
    """No plugin at first; the test says which there are."""
    return Installed(monkeypatch, tmp_path)
