"""An update that is killed, or not alone, and clients that read meanwhile."""

from __future__ import annotations

import gzip
import hashlib
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from eportal_esu_repo.repository import Repository
from eportal_esu_repo.status import faults
from tests.support.commands import PROGRAM, CommandLine
from tests.support.esu_world import REPOSITORY, Packages, World, packages, world
from tests.support.mortal import Fate, mortals
from tests.support.serving import serving

HELLO = "Packages/h/hello-1.0-1.noarch.rpm"
#: Every so many steps of an update are enough, when each run begins at another one.
STRIDE = 13


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Packages]:
    with packages(tmp_path_factory.mktemp("made")) as found:
        yield found


@pytest.fixture
def esu(made: Packages, tmp_path: Path) -> Iterator[World]:
    with world(made, tmp_path, mirrored=True) as found:
        yield found


def test_a_death_at_any_step_leaves_the_old_or_the_new(esu: World, tmp_path: Path) -> None:
    """A package comes, one goes, and one has other bytes under its old name."""
    esu.add("gone")
    esu.publish()
    esu.update()
    old = esu.seen()
    esu.remove("Packages/g/gone-1.0-1.noarch.rpm")
    esu.add("world")
    (esu.source / HELLO).write_bytes(esu.made.path("hello", "2.0").read_bytes())
    esu.publish()
    before = shutil.copytree(esu.data_dir, tmp_path / "before", symlinks=True)
    esu.update()
    new = esu.seen()

    with mortals() as run:

        def dies(fate: Fate) -> str:
            """What clients see when the update has died: old or new; empty when it did not die."""
            shutil.rmtree(esu.data_dir)
            shutil.copytree(before, esu.data_dir, symlinks=True)
            if not run(esu.data_dir, "esu", "update", fate=fate, settings=esu.settings).died:
                return ""
            found, repomd = esu.seen(), "repodata/repomd.xml"
            end = old if found[repomd] == old[repomd] else new
            for path, content in end.items():
                # Just before the switch a package may be newer than its metadata.
                assert found[path] in (content, new[HELLO] if path == HELLO else content), path
            outcome = run(esu.data_dir, "esu", "update", settings=esu.settings)
            assert outcome.returncode == 0, outcome.output
            assert esu.seen() == new
            assert not list(faults(Repository(REPOSITORY, esu.mirror)))
            return "old" if end is old else "new"

        steps = random.randint(1, STRIDE)
        while dies(Fate(die_at=steps)):
            steps += STRIDE
        assert steps > 2 * STRIDE
        assert dies(Fate(die_before=f"os.rename {esu.mirror}/.repodata.new")) == "old"
        assert dies(Fate(die_before=f"os.rmdir {esu.mirror}/.incoming")) == "new"


def test_two_updates_at_once(esu: World) -> None:
    esu.publish()
    asked, go_on = threading.Event(), threading.Event()

    def hold(path: str) -> None:
        asked.set()
        go_on.wait(30)

    esu.upstream.before = hold
    cli = CommandLine(esu.data_dir, esu.settings)
    with subprocess.Popen([PROGRAM, "esu", "update"], env=cli.environ) as first:
        assert asked.wait(30)
        second = esu.run("update")
        go_on.set()
        assert first.wait(30) == 0
    assert (second.code, second.said) == (
        1,
        "Another update of the ESU repositories is at work.",
    )


class Reader(threading.Thread):
    """A client that reads the repository over and over, and checks that all of it fits."""

    def __init__(self, url: str, server: str) -> None:
        super().__init__(daemon=True)
        self._url = f"{url}/esu/{REPOSITORY}"
        self._server = server
        self._stopping = threading.Event()
        #: What was published: SHA-256 of repomd.xml -> its signature.
        self.published: dict[str, bytes] = {}
        self.complaints: list[str] = []
        self.revisions: list[str] = []

    def run(self) -> None:
        with requests.Session() as session:
            session.auth = (self._server, "any")
            while not self._stopping.wait(0.002):
                try:
                    self._read(session)
                except (AssertionError, requests.RequestException) as error:
                    self.complaints.append(str(error))

    def _read(self, session: requests.Session) -> None:
        def get(path: str, digest: str = "") -> bytes:
            answer = session.get(f"{self._url}/{path}", timeout=10)
            assert answer.status_code == 200, f"{path}: {answer.status_code}"
            assert digest in ("", hashlib.sha256(answer.content).hexdigest()), path
            return answer.content

        repomd = get("repodata/repomd.xml")
        signature = self.published[hashlib.sha256(repomd).hexdigest()]
        assert get("repodata/repomd.xml.asc") == signature, "the signature of another one"
        primary = b""
        for digest, path in re.findall(
            r'<checksum type="sha256">(\w+)<.*?<location href="(.*?)"', repomd.decode(), re.S
        ):
            content = get(path, digest)
            primary = content if "primary" in path else primary
        for digest, path in re.findall(
            r'pkgid="YES">(\w+)<.*?<location href="(.*?)"',
            gzip.decompress(primary).decode(),
            re.S,
        ):
            get(path, digest)
        revision = re.search(r"<revision>(\d+)<", repomd.decode())
        assert revision
        self.revisions.append(revision[1])

    def stop(self) -> None:
        self._stopping.set()
        self.join()


def test_a_client_reads_while_updates_are_killed(esu: World) -> None:
    with serving(esu.data_dir, **esu.settings) as served:
        served.cli.ok("key", "-a", "ESU", "--product", "tuxcare-esu")
        reader = Reader(served.url, served.register("ESU"))

        def publish() -> None:
            repodata = esu.source / "repodata"
            esu.publish()
            digest = hashlib.sha256((repodata / "repomd.xml").read_bytes()).hexdigest()
            reader.published[digest] = (repodata / "repomd.xml.asc").read_bytes()

        publish()
        esu.update()
        reader.start()
        chance = random.Random(2026)
        for number in range(1, 4):
            esu.add("changing", f"{number}.0", 300_000)
            if number > 1:
                esu.remove(f"Packages/c/changing-{number - 1}.0-1.noarch.rpm")
            publish()
            with subprocess.Popen(
                [PROGRAM, "esu", "update"], env=served.cli.environ, stdout=subprocess.DEVNULL
            ) as process:
                time.sleep(chance.uniform(0.3, 0.9))
                process.send_signal(signal.SIGKILL)
            served.cli.ok("esu", "update")
        reader.stop()
    assert reader.complaints == []
    assert len(set(reader.revisions)) > 1
