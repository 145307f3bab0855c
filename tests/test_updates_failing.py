"""Updates that meet bad archives, full disks, cut lines, plugins that refuse, and each other."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from eportal_core import db
from eportal_core.errors import Conflict, InvalidValue, PortalError
from eportal_core.markers import hookimpl
from eportal_core.models import Patchset
from eportal_core.operations import patchsets, updates
from eportal_core.operations.coming import coming
from eportal_core.patchsets.pack import pack as pack_folder
from eportal_core.portal import Portal
from eportal_core.source.client import open_source
from eportal_core.types import Product
from tests.support.commands import PROGRAM, CommandLine
from tests.support.disks import MIB, MountedDisk, mountable, mounted
from tests.support.inprocess import InProcess
from tests.support.opening import opened
from tests.support.patches import KERNEL, SPEC, WEB
from tests.support.polling import eventually
from tests.support.publishing import Publisher, pack
from tests.support.updating import Below, said
from tests.support.upstreams import Upstream, upstream

FIRST, SECOND, THIRD = "K20260101_01", "K20260102_01", "K20260103_01"


@pytest.fixture
def served_files(publisher: Publisher) -> Iterator[Upstream]:
    """The source behind a server that counts and can fail."""
    with upstream() as server:
        show(publisher, server)
        yield server


def show(publisher: Publisher, server: Upstream) -> None:
    server.files = {
        f"/{path.relative_to(publisher.folder)}": path.read_bytes()
        for path in publisher.folder.rglob("*")
        if path.is_file()
    }


def behind(server: Upstream, publisher: Publisher) -> dict[str, str]:
    return {**publisher.settings, "PATCH_SOURCE_URL": server.url}


def test_one_bad_archive_does_not_stop_the_others(below: Below, publisher: Publisher) -> None:
    stored = publisher.stored(FIRST)
    good = stored.read_bytes()
    stored.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    done = below("kcare", "update")
    assert done.code == 1
    assert done.said == f"1 of 2 patchsets could not be had: {FIRST}."
    # They come at the same time, in whatever order.
    bad, *others = sorted(said(done), key=lambda line: not line.startswith(FIRST))
    assert bad.startswith(f"{FIRST} could not be had: ")
    assert others == [f"{SECOND} was downloaded", f"{SECOND} was enabled in main"]
    assert below.states() == {FIRST: "not-downloaded", SECOND: "enabled"}
    stored.write_bytes(good)
    below.ok("kcare", "update")
    assert below.states() == {FIRST: "enabled", SECOND: "enabled"}


def test_a_signed_archive_that_cannot_be_deployed_is_reported(
    below: Below, publisher: Publisher, tmp_path: Path
) -> None:
    """Level 2 of the same target is published already, with other bytes."""
    below.ok("kcare", "deploy", pack(tmp_path / "own", "K20250101_01", {WEB: 2}, size=2000))
    done = below("kcare", "update")
    assert done.code == 1
    assert "is published already with other bytes" in done.out
    assert below.states()[FIRST] == "enabled"
    assert below.states()[SECOND] == "not-downloaded"


def test_bytes_that_changed_after_the_download_are_fetched_again(
    below: Below, publisher: Publisher
) -> None:
    waiting = below.kc.data_dir / "cache" / "downloads" / "kernel" / f"{FIRST}.tar.bz2"
    waiting.parent.mkdir(parents=True)
    good = publisher.stored(FIRST).read_bytes()
    waiting.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    below.ok("kcare", "update")
    assert (below.kc.data_dir / "arch" / waiting.name).read_bytes() == good


def test_a_download_that_was_cut_off_goes_on_where_it_stopped(
    below: Below, publisher: Publisher, served_files: Upstream
) -> None:
    publisher.list(incompressible(publisher, THIRD, MIB))
    show(publisher, served_files)
    place = f"/targets/kernel/{publisher.stored(THIRD).name}"
    settings = {**behind(served_files, publisher), "LIMIT_PATCHSETS": "1"}
    served_files.cut = MIB // 2
    assert below("kcare", "update", **settings).code == 1
    served_files.cut = None
    served_files.asked.clear()
    below.ok("kcare", "update", **settings)
    (asked,) = [request for request in served_files.asked if request.path == place]
    assert int(asked.headers["range"].removeprefix("bytes=").removesuffix("-")) >= MIB // 4
    assert below.states()[THIRD] == "enabled"


def incompressible(publisher: Publisher, name: str, size: int) -> Path:
    """An archive that is as large as its content."""
    folder = publisher.archives / f"{name}-content" / WEB / "3"
    folder.mkdir(parents=True)
    (folder / "kpatch.bin").write_bytes(random.Random(3).randbytes(size))
    path = publisher.archives / f"{name}.tar.bz2"
    pack_folder(folder.parent.parent, path, SPEC)
    return path


def test_interrupted_from_the_keyboard_it_ends_soon_and_is_gone_on_with(
    cli: CommandLine, publisher: Publisher, served_files: Upstream
) -> None:
    cli.ok("feed")
    publisher.list(incompressible(publisher, THIRD, 4 * MIB))
    show(publisher, served_files)
    place = f"/targets/kernel/{publisher.stored(THIRD).name}"
    settings = {f"EPORTAL_{n}": v for n, v in behind(served_files, publisher).items()}
    served_files.pace = 0.2
    command = subprocess.Popen(
        [PROGRAM, "kcare", "update"],
        env={**cli.environ, **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    part = cli.data_dir / "cache" / "downloads" / "kernel" / f"{THIRD}.tar.bz2.part"
    try:
        eventually(lambda: part.exists() and part.stat().st_size > MIB // 4, 30)
    finally:
        command.send_signal(signal.SIGINT)
        assert command.wait(10) == 130
    served_files.pace = 0
    served_files.asked.clear()
    cli.ok("kcare", "update", **settings)
    (asked,) = [request for request in served_files.asked if request.path == place]
    assert "range" in asked.headers
    assert {row["status"] for row in cli.json("kcare", "list")} == {"enabled"}


def test_what_is_left_of_downloads_goes_when_nobody_wants_it(
    below: Below, publisher: Publisher
) -> None:
    folder = below.kc.data_dir / "cache" / "downloads" / "kernel"
    folder.mkdir(parents=True)
    for name in ("K20250101_01.tar.bz2", "K20250101_01.tar.bz2.part", f"{FIRST}.tar.bz2.part.json"):
        (folder / name).write_bytes(b"left over")
    below.ok("kcare", "update")
    below.ok("kcare", "update")
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(not mountable(), reason="needs to mount a small disk")
def test_room_is_looked_for_before_anything_is_fetched(
    kc: InProcess, publisher: Publisher, tmp_path: Path
) -> None:
    with mounted(tmp_path / "disk", 4 * MIB) as disk:
        below = Below(kc, {**publisher.settings, "PATCHES_DIR": str(disk)})
        below.ok("kcare", "update")
        publisher.list(incompressible(publisher, THIRD, MIB))
        size = publisher.stored(THIRD).stat().st_size
        MountedDisk(disk).fill(left=2 * size - 8192)
        done = below("kcare", "update")
        assert done.code == 1
        assert f"{2 * size} bytes at least are needed for 1 patchset" in done.out
        assert not list((disk / "cache").rglob("*.part"))
        assert below.states()[THIRD] == "not-downloaded"
        MountedDisk(disk).free()
        below.ok("kcare", "update")
        assert below.states()[THIRD] == "enabled"


class Ticket:
    """No deploy without a ticket."""

    @hookimpl(wrapper=True)
    def eportal_deploy(self, portal: Portal, product: str, archive: Path) -> Iterator[None]:
        if archive.name.startswith(FIRST):
            raise InvalidValue("A deploy needs a ticket.")
        return (yield)


def test_plugins_that_watch_deploys_watch_updates(data_dir: Path, publisher: Publisher) -> None:
    portal = opened(data_dir, **publisher.settings)
    portal.plugins.manager.register(Ticket(), "ticket")
    with db.connection():
        with pytest.raises(PortalError, match=f"1 of 2 patchsets could not be had: {FIRST}"):
            updates.update(portal, KERNEL)
        assert [row.name for row in patchsets.all_of(KERNEL)] == [SECOND]
    db.close()


def test_of_two_updates_at_once_the_other_waits_for_the_one(
    cli: CommandLine, publisher: Publisher, served_files: Upstream
) -> None:
    cli.ok("feed")
    settings = {f"EPORTAL_{n}": v for n, v in behind(served_files, publisher).items()}
    served_files.open.clear()
    command = [PROGRAM, "kcare", "update"]
    environ = {**cli.environ, **settings}
    first = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: served_files.asked)
        second = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(3)
        assert len(served_files.asked) == 1
    finally:
        served_files.open.set()
        assert first.wait(60) == 0
    assert "There is nothing new" in second.communicate(timeout=60)[0]
    assert second.returncode == 0
    assert {row["status"] for row in cli.json("kcare", "list")} == {"enabled"}


@pytest.mark.parametrize("terminal", [True, False])
def test_an_update_waits_no_longer_than_somebody_may(
    data_dir: Path,
    publisher: Publisher,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    terminal: bool,
) -> None:
    portal = opened(data_dir, **publisher.settings)
    monkeypatch.setattr(updates, "PATIENCE", 0.5)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    with (
        db.connection(),
        open_source(portal),
        pytest.raises(Conflict, match="is being read already"),
    ):
        updates.update(portal, KERNEL)
    assert capsys.readouterr().err.count("Another update reads the patch source") == terminal
    db.close()


# What is seen meanwhile


def test_what_is_being_downloaded_is_told_until_whoever_does_it_is_gone(
    cli: CommandLine, publisher: Publisher, served_files: Upstream
) -> None:
    cli.ok("feed")
    publisher.list(incompressible(publisher, THIRD, 4 * MIB))
    show(publisher, served_files)
    below = CommandLine(cli.data_dir, behind(served_files, publisher))

    def states() -> dict[str, str]:
        rows = below.json("kcare", "list")
        return {row["patchset"]: row["status"] for row in rows}

    served_files.pace = 0.2
    with subprocess.Popen(
        [PROGRAM, "kcare", "update"], env=below.environ, stdout=subprocess.DEVNULL
    ) as update:
        try:
            eventually(lambda: states().get(THIRD) == "downloading", 30)
            # The small ones came before it, and feeds get them when all have come.
            eventually(
                lambda: (
                    states() == {FIRST: "undeployed", SECOND: "undeployed", THIRD: "downloading"}
                )
            )
        finally:
            update.kill()
    assert states()[THIRD] == "not-downloaded"
    served_files.pace = 0
    below.ok("kcare", "update")
    assert set(states().values()) == {"enabled"}


def test_what_failed_is_not_being_downloaded(
    data_dir: Path, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.stored(FIRST).write_bytes(b"not what was signed")
    portal = opened(data_dir, **publisher.settings, DOWNLOADS_AT_ONCE=1)
    seen = []
    receive = patchsets.receive

    def watched(portal: Portal, product: Product, archive: Path, sha256: str) -> Patchset:
        seen.append(coming(portal))
        return receive(portal, product, archive, sha256)

    monkeypatch.setattr(patchsets, "receive", watched)
    with db.connection(), pytest.raises(PortalError, match="1 of 2"):
        updates.update(portal, KERNEL)
    assert seen == [{f"kernel/{SECOND}"}]
    assert coming(portal) == set()
    db.close()


def test_interrupted_while_manifests_come_it_ends_at_once(
    cli: CommandLine, publisher: Publisher, served_files: Upstream
) -> None:
    """In cache mode, and an answer that does not come holds nobody back."""
    cli.ok("feed")
    with upstream() as silent:
        silent.open.clear()
        served_files.redirects = {
            path: f"{silent.url}{path}"
            for path in served_files.files
            if path.endswith(".meta.json")
        }
        settings = {**behind(served_files, publisher), "CACHE_MODE": "True"}
        below = CommandLine(cli.data_dir, settings)
        command = subprocess.Popen(
            [PROGRAM, "kcare", "update"],
            env=below.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            eventually(lambda: silent.asked, 30)
        finally:
            command.send_signal(signal.SIGINT)
            assert command.wait(5) == 130
