"""The mirror of packages goes to the other side as docs/air-gap.md tells: as the folder it is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.support.esu_world import Packages, packages, world
from tests.support.inprocess import InProcess
from tests.support.polling import eventually
from tests.support.serving import free_ports


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Packages]:
    with packages(tmp_path_factory.mktemp("packages")) as found:
        yield found


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """By the command of the document."""
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "http.server", "--bind", "127.0.0.1"),
            *("--directory", folder, str(port)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: answers(url))
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.ConnectionError:
        return False


def test_a_mirror_that_was_carried_is_an_upstream(made: Packages, tmp_path: Path) -> None:
    (tmp_path / "near").mkdir()
    with world(made, tmp_path / "near", mirrored=True) as near:
        settings = {f"EPORTAL_{name}": value for name, value in near.settings.items()}
        # What `rsync -aL --exclude='.*'` does.
        disk = tmp_path / "disk"
        shutil.copytree(near.data_dir / "esu", disk, ignore=shutil.ignore_patterns(".*"))
        seen = near.seen()
    far = InProcess(tmp_path / "far")
    with served(disk) as url:
        told = far.ok("esu", "update", **{**settings, "EPORTAL_ESU_URL": url})
    assert "1 packages were fetched, 1 are mirrored" in told
    mirror = far.data_dir / "esu" / "almalinux9" / "esu"
    assert {path for path in seen if path.endswith(".rpm")} == {
        str(path.relative_to(mirror)) for path in mirror.rglob("*.rpm")
    }
