"""What a portal makes of a patch source that is well: what it lists, its files, and its trust."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eportal_core import http
from eportal_core.errors import (
    Conflict,
    InvalidValue,
    NoSource,
    SourceRefused,
    StorageError,
    UpstreamError,
)
from eportal_core.patchsets.manifest import File
from eportal_core.portal import Portal
from eportal_core.source.client import last_refresh, open_source
from eportal_core.source.layout import file_path
from tests.support.disks import mountable, mounted, read_only
from tests.support.forged_sources import PATCH, ForgedSource
from tests.support.inprocess import InProcess
from tests.support.reading import Reader, behind_nginx
from tests.support.sources import make_source
from tests.support.states import state_of
from tests.support.upstreams import Upstream, upstream

NAMES = ["K20260901_01", "K20260915_01"]


@pytest.fixture
def source(tmp_path: Path) -> ForgedSource:
    """A source with two patchsets of one product and one of another."""
    made = ForgedSource(tmp_path / "source", "kernel", "libcare")
    for name in NAMES:
        made.add("kernel", name, channels=["default", "test"], distros=["debian12"])
    made.add("libcare", "U20260915_01", state="blocked")
    made.publish()
    return made


@pytest.fixture(params=["nginx", "directory"])
def reader(
    request: pytest.FixtureRequest, portal: Portal, source: ForgedSource, tmp_path: Path
) -> Iterator[Reader]:
    """A portal that trusts ``source`` by its root file."""
    if request.param == "directory":
        yield Reader(portal).of(source.folder, ROOT=source.root)
        return
    with behind_nginx(source.folder, tmp_path / "nginx") as url:
        yield Reader(portal).of(url, ROOT=source.root)


def pages_of(source: ForgedSource, server: Upstream) -> None:
    """Let a server that counts have the files of ``source`` as they are now."""
    for path in source.folder.rglob("*.*"):
        if path.is_file():
            server.files[f"/{path.relative_to(source.folder)}"] = path.read_bytes()


# What it lists


def test_everything_that_is_said_of_a_patchset_is_read(reader: Reader) -> None:
    newest, other = reader.refresh()[1:]
    assert (newest.product, newest.name, newest.state) == ("kernel", NAMES[1], "available")
    assert newest.archive == f"kernel/{NAMES[1]}.tar.bz2"
    assert (newest.channels, newest.distros) == (("default", "test"), ("debian12",))
    assert newest.released == "2026-09-15"
    assert (other.product, other.state) == ("libcare", "blocked")


def test_products_that_the_portal_does_not_have_are_left_alone(
    portal: Portal, tmp_path: Path
) -> None:
    made = ForgedSource(tmp_path / "more", "firmware", "kernel")
    made.add("firmware", "F1")
    made.add("kernel", NAMES[0])
    made.publish()
    reader = Reader(portal).of(made.folder, ROOT=made.root)
    assert reader.names() == [NAMES[0]]
    assert not list(reader.data_dir.rglob("firmware.json"))


def test_what_is_published_later_is_seen(reader: Reader, source: ForgedSource) -> None:
    reader.refresh()
    source.add("kernel", "K20260920_01")
    source.publish("kernel")
    assert "K20260920_01" in reader.names()


def test_a_source_with_nothing_in_it_lists_nothing(portal: Portal, tmp_path: Path) -> None:
    made = ForgedSource(tmp_path / "empty")
    made.publish()
    assert Reader(portal).of(made.folder, ROOT=made.root).refresh() == []


def test_nothing_new_costs_at_most_four_small_requests(
    portal: Portal, source: ForgedSource
) -> None:
    with upstream() as server:
        pages_of(source, server)
        reader = Reader(portal).of(server.url, ROOT=source.root)
        first = reader.refresh()
        asked = len(server.asked)
        assert reader.refresh() == first
        new = server.paths()[asked:]
        assert len(new) <= 4
        assert new == ["/metadata/2.root.json", "/metadata/timestamp.json"]
        assert sum(len(server.files.get(path, b"")) for path in new) < 1000


def test_the_time_of_the_last_refresh_is_kept(reader: Reader) -> None:
    assert last_refresh(reader.portal) is None
    before = time.time()
    with reader.opened() as opened:
        assert opened.refreshed is None
        opened.refresh()
        assert opened.refreshed == last_refresh(reader.portal)
    found = last_refresh(reader.portal)
    assert found is not None
    assert before <= found.timestamp() <= time.time()


def test_a_damaged_note_of_the_last_refresh_switches_no_check_of_the_clock_off(
    reader: Reader,
) -> None:
    offers = reader.refresh()
    note = reader.data_dir / "source" / "refreshed"
    for damage in (b"", b"\xff\xfe", b"yesterday"):
        note.write_bytes(damage)
        assert last_refresh(reader.portal) is None
        with pytest.raises(SourceRefused, match=f"^{note} is damaged.*remove that file"):
            reader.refresh()
    note.unlink()
    assert reader.refresh() == offers
    assert last_refresh(reader.portal) is not None


def test_damaged_metadata_in_the_data_directory_is_fetched_again(reader: Reader) -> None:
    offers = reader.refresh()
    for path in (reader.data_dir / "source").rglob("*.json"):
        path.write_bytes(b"{")
    assert reader.refresh() == offers


def test_rotated_keys_are_followed(reader: Reader, source: ForgedSource) -> None:
    reader.refresh()
    for roles in (("timestamp", "snapshot"), ("root",), ("targets",)):
        source.rotate(*roles)
        source.publish("targets")
        assert reader.names()[:2] == NAMES


# Its files


def test_an_archive_comes_whole(reader: Reader, tmp_path: Path) -> None:
    pieces: list[int] = []
    with reader.opened() as opened:
        offer = opened.refresh()[0]
        opened.fetch_archive(offer, tmp_path / "new" / "archive", pieces.append)
    content = (tmp_path / "new" / "archive").read_bytes()
    assert hashlib.sha256(content).hexdigest() == offer.sha256
    assert sum(pieces) == len(content) == offer.size
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["archive"]


def test_several_threads_fetch_archives_at_once(reader: Reader, tmp_path: Path) -> None:
    with reader.opened() as opened:
        offers = opened.refresh()
        threads = [
            threading.Thread(target=opened.fetch_archive, args=[offer, tmp_path / offer.name])
            for offer in offers
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for offer in offers:
        data = (tmp_path / offer.name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == offer.sha256


def test_a_download_that_was_cut_goes_on(
    portal: Portal, source: ForgedSource, tmp_path: Path
) -> None:
    source.add("kernel", "K20260920_01", os.urandom(1_000_000))
    source.publish("kernel")
    with upstream() as server:
        pages_of(source, server)
        with Reader(portal).of(server.url, ROOT=source.root).opened() as opened:
            offer = opened.refresh()[2]
            server.cut = 600_000
            with pytest.raises(UpstreamError):
                opened.fetch_archive(offer, tmp_path / "archive")
            server.cut = None
            opened.fetch_archive(offer, tmp_path / "archive")
            assert "range" in server.asked[-1].headers
    assert hashlib.sha256((tmp_path / "archive").read_bytes()).hexdigest() == offer.sha256


def test_a_manifest_is_of_its_patchset(reader: Reader) -> None:
    with reader.opened() as opened:
        offer = opened.refresh()[0]
        manifest = opened.fetch_manifest(offer)
    assert (manifest.product, manifest.name) == ("kernel", NAMES[0])


def test_a_patch_file_is_checked_by_its_manifest(reader: Reader, tmp_path: Path) -> None:
    target = "0" * 40
    with reader.opened() as opened:
        file = opened.fetch_manifest(opened.refresh()[0]).targets[target].files["kpatch.bin"]
        path = file_path("kernel", target, 1, "kpatch.bin")
        opened.fetch_file(path, file, tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == PATCH
        other = File("0" * 64, len(PATCH))
        with pytest.raises(SourceRefused, match="nobody signed"):
            opened.fetch_file(path, other, tmp_path / "other")
        with pytest.raises(InvalidValue):
            opened.fetch_file("kernel/files/../1/kpatch.bin", file, tmp_path / "other")
    assert not (tmp_path / "other").exists()


# Trust


def test_a_fingerprint_is_enough(reader: Reader, source: ForgedSource) -> None:
    url = reader.portal.config["PATCH_SOURCE_URL"]
    spaced = ":".join(source.fingerprint[i : i + 4].upper() for i in range(0, 64, 4))
    assert reader.of(url, FINGERPRINT=spaced).names()[:2] == NAMES


def test_another_fingerprint_is_refused(reader: Reader, source: ForgedSource) -> None:
    other = reader.of(reader.portal.config["PATCH_SOURCE_URL"], FINGERPRINT="0" * 64)
    with pytest.raises(SourceRefused, match=source.fingerprint):
        other.refresh()
    assert not list(reader.data_dir.rglob("*.root.json"))


def test_nothing_is_trusted_at_first(reader: Reader) -> None:
    with pytest.raises(NoSource, match="eportal source trust"):
        reader.of(reader.portal.config["PATCH_SOURCE_URL"]).refresh()


@pytest.mark.parametrize("settings", [{"FINGERPRINT": "abc"}, {"ROOT": "/nowhere/root.json"}])
def test_trust_that_cannot_be_read_is_refused(reader: Reader, settings: dict[str, str]) -> None:
    with pytest.raises(InvalidValue):
        reader.of(reader.portal.config["PATCH_SOURCE_URL"], **settings).refresh()


def test_two_ways_of_trust_at_once_are_refused(reader: Reader, source: ForgedSource) -> None:
    both = reader.of(
        reader.portal.config["PATCH_SOURCE_URL"],
        ROOT=source.root,
        FINGERPRINT=source.fingerprint,
    )
    with pytest.raises(InvalidValue, match="unset one"):
        both.refresh()


def test_no_root_is_none_to_trust(reader: Reader, source: ForgedSource, tmp_path: Path) -> None:
    url = reader.portal.config["PATCH_SOURCE_URL"]
    unsigned = source.root.read_bytes().replace(b'"sig":"', b'"sig":"00')
    for content in (b"", b"[]", b"[" * 9999, unsigned, source.write("targets").read_bytes()):
        (tmp_path / "root.json").write_bytes(content)
        with pytest.raises(SourceRefused, match="signed by its own keys"):
            reader.of(url, ROOT=tmp_path / "root.json").refresh()


def test_a_mirror_of_the_same_publisher_needs_no_new_trust(
    reader: Reader, source: ForgedSource, tmp_path: Path
) -> None:
    offers = reader.refresh()
    source.copy_to(tmp_path / "mirror")
    assert reader.of(tmp_path / "mirror", ROOT=source.root).refresh() == offers


# Where it is


def test_no_source_says_so(portal: Portal) -> None:
    with pytest.raises(NoSource, match="PATCH_SOURCE_URL"), open_source(portal):
        pass


@pytest.mark.parametrize(
    "url", ["ftp://a/b", "patches", "http://u:p@h/", "http://h/?a", "file:x", "http://["]
)
def test_what_names_no_place_is_refused(portal: Portal, url: str) -> None:
    with pytest.raises(InvalidValue, match="PATCH_SOURCE_U"):
        Reader(portal).of(url).refresh()


def test_a_file_url_is_a_directory(portal: Portal, source: ForgedSource, tmp_path: Path) -> None:
    place = tmp_path / "with blank"
    source.copy_to(place)
    assert Reader(portal).of(place.as_uri(), ROOT=source.root).names()[:2] == NAMES


def test_a_wrong_password_is_told(portal: Portal, source: ForgedSource, tmp_path: Path) -> None:
    with behind_nginx(source.folder, tmp_path / "nginx") as url:
        reader = Reader(portal).of(url, ROOT=source.root, PASSWORD="guess")
        with pytest.raises(UpstreamError, match=r"401.*PATCH_SOURCE_PASSWORD"):
            reader.refresh()


def test_an_address_without_a_source_is_told(portal: Portal, source: ForgedSource) -> None:
    with upstream() as server:
        reader = Reader(portal).of(server.url, ROOT=source.root)
        with pytest.raises(UpstreamError, match=r"is none: .*timestamp.json answered 404"):
            reader.refresh()
    with pytest.raises(UpstreamError, match="cannot be had"):
        reader.refresh()


def test_a_disk_that_is_not_mounted_is_told(
    portal: Portal, source: ForgedSource, tmp_path: Path
) -> None:
    with pytest.raises(UpstreamError, match="mount the disk"):
        Reader(portal).of(tmp_path / "disk", ROOT=source.root).refresh()


@pytest.mark.skipif(not mountable(), reason="may not mount")
def test_a_read_only_disk_is_read(portal: Portal, source: ForgedSource, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 1 << 22) as disk:
        source.copy_to(disk / "source")
        with read_only(disk):
            reader = Reader(portal).of(disk / "source", ROOT=source.root)
            with reader.opened() as opened:
                offer = opened.refresh()[0]
                opened.fetch_archive(offer, tmp_path / "archive")
    assert (tmp_path / "archive").stat().st_size == offer.size


@pytest.mark.parametrize("name", ["timestamp.json", "1.kernel.json"])
def test_links_out_of_a_directory_are_not_followed(
    portal: Portal, source: ForgedSource, tmp_path: Path, name: str
) -> None:
    file = source.folder / "metadata" / name
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    reader = Reader(portal).of(source.folder, ROOT=source.root)
    with pytest.raises(UpstreamError, match="leads out"):
        reader.refresh()
    # Inside of it, links are as good as files.
    file.unlink()
    (tmp_path / "elsewhere").rename(source.folder / "kept")
    file.symlink_to("../kept")
    assert reader.names()[:2] == NAMES


def test_a_pipe_is_no_file(portal: Portal, source: ForgedSource) -> None:
    file = source.folder / "metadata" / "timestamp.json"
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(UpstreamError, match="not a file"):
        Reader(portal).of(source.folder, ROOT=source.root).refresh()


def test_an_upstream_that_drips_is_given_up(
    portal: Portal, source: ForgedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "PATIENCE", 0.3)
    monkeypatch.setattr(http, "SLOWEST", 1 << 20)
    with upstream() as server:
        pages_of(source, server)
        server.files["/metadata/2.root.json"] = b"{" * 400_000
        server.pace = 0.4
        started = time.monotonic()
        with pytest.raises(UpstreamError, match="too slowly"):
            Reader(portal).of(server.url, ROOT=source.root).refresh()
        assert time.monotonic() - started < 2


# One at a time, and the disk


def test_only_one_reads_the_source_at_a_time(reader: Reader) -> None:
    with reader.opened() as opened:
        with pytest.raises(Conflict), open_source(reader.portal):
            pass
        offer = opened.refresh()[0]
        with open_source(reader.portal, alone=False) as beside:
            assert beside.fetch_manifest(offer).name == NAMES[0]
    assert reader.refresh()


@pytest.mark.skipif(not mountable(), reason="may not mount")
def test_a_full_disk_changes_nothing(reader: Reader, source: ForgedSource, tmp_path: Path) -> None:
    reader.refresh()
    with mounted(reader.data_dir / "source", 1 << 17) as disk:
        first = reader.refresh()
        before = state_of(reader.data_dir)
        source.add("kernel", "K20260920_01", b"x", changed="y" * 200_000)
        source.publish("kernel")
        with pytest.raises(StorageError):
            reader.refresh()
        after = state_of(reader.data_dir)
        assert good_of(after.files) == good_of(before.files)
        assert first
        assert disk.exists()


def good_of(files: dict[str, str]) -> dict[str, str]:
    """The metadata that was accepted, and when."""
    return {
        name: content
        for name, content in files.items()
        if "/metadata/" in name or name.endswith("/refreshed")
    }


@pytest.mark.parametrize("known", [True, False], ids=["read before", "never read"])
def test_a_death_at_any_step_leaves_the_old_or_the_new(
    portal: Portal, source: ForgedSource, tmp_path: Path, known: bool
) -> None:
    reader = Reader(portal).of(source.folder, ROOT=source.root)
    kept = reader.data_dir / "source"
    kept.mkdir()
    if known:
        reader.refresh()
    old = metadata_in(kept)
    shutil.copytree(kept, tmp_path / "before", symlinks=True)
    source.add("kernel", "K20260920_01")
    source.rotate("snapshot")
    source.publish("kernel")
    offers = reader.refresh()
    new = metadata_in(kept)
    assert old != new
    found, step = [], 0
    while not found or found[-1] is not None:
        step += 1
        shutil.rmtree(kept)
        shutil.copytree(tmp_path / "before", kept, symlinks=True)
        died = dies_at(step, reader.refresh)
        assert metadata_in(kept) in (old, new), died
        found.append(metadata_in(kept) if died else None)
        assert reader.refresh() == offers, died
        assert metadata_in(kept) == new
    assert old in found
    assert new in found


def metadata_in(kept: Path) -> dict[str, bytes]:
    """What a portal has accepted of a source, by name, but for roots."""
    files = kept.glob("*/metadata/*.json")
    return {path.name: path.read_bytes() for path in files if not path.is_symlink()}


def dies_at(step: int, work: Callable[[], object]) -> str:
    """Do ``work`` in a process that is killed before this change to the disk, counted from 1.

    Returns the change that it did not come to do, empty when it ended by itself.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Of threads, which the process of the tests may have: none is used there.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        steps = iter(range(1, sys.maxsize))

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            changes = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink")
            if (writes or event in changes) and next(steps) == step:
                os.write(writing, f"{event} {arguments}".encode())
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == (-signal.SIGKILL if told else 0)
    return told


# A source as it is made by the command line


def test_what_a_publisher_does_is_seen(portal: Portal, tmp_path: Path) -> None:
    made = make_source(tmp_path / "made", ["kernel", "libcare"])
    reader = Reader(portal).of(made.folder, FINGERPRINT=made.fingerprint)
    assert reader.refresh() == []
    made.offer("kernel", NAMES[0], channels=["default"], distros=["debian12"])
    made.offer("libcare", "U20260915_01", levels={"0" * 40: 1}, state="disabled")
    assert reader.refresh() == [
        made.offered("kernel", NAMES[0]),
        made.offered("libcare", "U20260915_01"),
    ]
    made.set_state("blocked", NAMES[0])
    assert reader.refresh()[0].state == "blocked"
    for role in ("timestamp", "snapshot", "targets", "kernel", "root"):
        made.rotate(role)
        made.publish()
        assert len(reader.refresh()) == 2
    made.remove(NAMES[0])
    assert reader.names() == ["U20260915_01"]
    with reader.opened() as opened:
        (offer,) = opened.refresh()
        opened.fetch_archive(offer, tmp_path / "archive")
        manifest = opened.fetch_manifest(offer)
        ((name, file),) = list(manifest.targets["0" * 40].files.items())[:1]
        opened.fetch_file(file_path("libcare", "0" * 40, 1, name), file, tmp_path / "file")


# The command line


def test_trust_shows_what_to_compare_and_pins_only_when_told(
    kc: InProcess, source: ForgedSource
) -> None:
    url = {"EPORTAL_PATCH_SOURCE_URL": str(source.folder)}
    said = kc.ok("source", "trust", **url)
    assert source.fingerprint in said
    assert "Nothing is trusted yet" in said
    assert not (kc.data_dir / "source" / "trusted.root.json").exists()
    for wrong in ("0" * 64, "x"):
        assert kc("source", "trust", "--fingerprint", wrong, **url).code != 0
        assert not (kc.data_dir / "source" / "trusted.root.json").exists()
    trusted = f"{source.fingerprint} is trusted\n"
    assert kc.ok("source", "trust", "--fingerprint", source.fingerprint, **url) == trusted
    assert kc.ok("source", "trust", "--yes", **url) == trusted
    assert kc.ok("source", "trust", "--root", source.root) == trusted


def test_what_was_pinned_is_read_and_another_source_is_refused_until_it_is_trusted(
    kc: InProcess, portal: Portal, source: ForgedSource, tmp_path: Path
) -> None:
    kc.ok("source", "trust", "--root", source.root)
    reader = Reader(portal).of(source.folder)
    assert reader.names()[:2] == NAMES
    other = ForgedSource(tmp_path / "other", "kernel")
    other.add("kernel", "K20270101_01")
    other.publish()
    before = state_of(reader.data_dir)
    with pytest.raises(SourceRefused, match="eportal source trust"):
        reader.of(other.folder).refresh()
    assert good_of(state_of(reader.data_dir).files) == good_of(before.files)
    kc.ok("source", "trust", "--root", other.root)
    assert reader.of(other.folder).names() == ["K20270101_01"]
    kc.ok("source", "trust", "--root", source.root)
    assert reader.names()[:2] == NAMES


def test_trust_is_not_pinned_where_a_setting_decides(kc: InProcess, source: ForgedSource) -> None:
    done = kc(
        "source",
        "trust",
        "--root",
        source.root,
        EPORTAL_PATCH_SOURCE_FINGERPRINT=source.fingerprint,
    )
    assert "PATCH_SOURCE_FINGERPRINT is set and decides" in done.said


def test_help_loads_none_of_it() -> None:
    code = (
        "import sys\nfrom eportal_core.cli import main\nmain(['--help'])\n"
        "import eportal_core.source.client\n"
        "heavy = {'tuf', 'securesystemslib', 'requests', 'cryptography'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
