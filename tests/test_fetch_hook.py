"""``eportal_fetch``: a patch source where only a plugin can read, here in a zip file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import BinaryIO

import pytest

from eportal_core import db, hookimpl
from eportal_core.config import Config, load
from eportal_core.errors import InvalidValue, PortalError, SourceRefused, UpstreamError
from eportal_core.models import ENABLED
from eportal_core.operations import settings, updates
from eportal_core.operations.states import states_in
from eportal_core.plugins import GROUP
from eportal_core.portal import Portal, open_portal
from eportal_core.source.client import open_source
from tests.support.patches import KERNEL, WEB
from tests.support.plugins import Installed
from tests.support.publishing import Publisher

FIRST, SECOND = "K20260101_01", "K20260102_01"
KERNELCARE = EntryPoint("kernelcare", "eportal_kernelcare:plugin", GROUP)


class Zips:
    """Reads sources at ``zip:/path``."""

    @hookimpl
    def eportal_fetch(self, portal: Portal, url: str, path: str) -> BinaryIO | None:
        if not url.startswith("zip:"):
            return None
        with zipfile.ZipFile(url.removeprefix("zip:")) as file:
            try:
                return io.BytesIO(file.read(path))
            except KeyError:
                raise FileNotFoundError(path) from None


class Endless(io.RawIOBase):
    """A file without an end, which gives more than it was asked for."""

    def read(self, size: int = -1, /) -> bytes:
        return b"x" * (size + 1)


class Broken(io.RawIOBase):
    def read(self, size: int = -1, /) -> bytes:
        raise ZeroDivisionError("the bucket\x1b has\nno bottom")


class Unclosable(io.BytesIO):
    """A connection that breaks when it is closed."""

    def close(self) -> None:
        raise ConnectionResetError(104, "Connection reset by peer")


class Odd:
    """Reads sources badly: each address names its fault."""

    @hookimpl
    def eportal_fetch(self, portal: Portal, url: str, path: str) -> object:
        match url:
            case "odd:raises":
                raise ZeroDivisionError("the bucket has no bottom")
            case "odd:disk":
                raise PermissionError(13, "Permission denied")
            case "odd:away":
                raise UpstreamError("The bucket does not answer.")
            case "odd:text":
                return io.StringIO("text")
            case "odd:bytes":
                return b"bytes"
            case "odd:endless":
                return Endless()
            case "odd:broken":
                return Broken()
        return None


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    made = Publisher.start(tmp_path / "publisher")
    made.offer(FIRST, {WEB: 1})
    return made


@pytest.fixture
def zipped(tmp_path: Path, publisher: Publisher) -> Path:
    return zip_of(publisher, tmp_path / "source.zip")


def zip_of(publisher: Publisher, path: Path, **instead: bytes) -> Path:
    """The source in one file; ``instead`` has other bytes for files, by the ends of their names."""
    with zipfile.ZipFile(path, "w") as file:
        for each in publisher.folder.rglob("*.*"):
            other = [data for end, data in instead.items() if each.name.endswith(f".{end}")]
            file.writestr(
                str(each.relative_to(publisher.folder)), other[0] if other else each.read_bytes()
            )
    return path


def portal_of(
    installed: Installed, data_dir: Path, publisher: Publisher, url: str, **more: object
) -> Portal:
    installed.plugin("zips", Zips())
    installed.plugin("odd", Odd())
    installed.points.append(KERNELCARE)
    given = {"PATCH_SOURCE_URL": url, "PATCH_SOURCE_ROOT": str(publisher.root), **more}
    return open_portal(Config.of(data_dir, **given), installed.load())


@pytest.fixture
def portal(
    installed: Installed, data_dir: Path, publisher: Publisher, zipped: Path
) -> Iterator[Portal]:
    made = portal_of(installed, data_dir, publisher, f"zip:{zipped}")
    with db.connection():
        yield made


def enabled() -> list[str]:
    return sorted(
        key.rpartition("/")[2]
        for key, state in states_in(KERNEL.name, "main").items()
        if state.state == ENABLED
    )


def test_what_a_plugin_reads_is_fetched_and_enabled(
    portal: Portal, publisher: Publisher, zipped: Path
) -> None:
    updates.update(portal, KERNEL)
    assert enabled() == [FIRST]
    kept = portal.storage.archives / f"{FIRST}.tar.bz2"
    assert kept.read_bytes() == publisher.stored(FIRST).read_bytes()
    publisher.offer(SECOND, {WEB: 2})
    zip_of(publisher, zipped)
    updates.update(portal, KERNEL)
    assert enabled() == [FIRST, SECOND]


def test_what_nobody_signed_is_refused(portal: Portal, publisher: Publisher, zipped: Path) -> None:
    archive = publisher.stored(FIRST).read_bytes()
    changed = archive[:-1] + bytes([archive[-1] ^ 1])
    for wrong in (changed, archive + b"x", archive[:-1]):
        zip_of(publisher, zipped, bz2=wrong)
        with pytest.raises(PortalError, match="1 of 1 patchset could not be had"):
            updates.update(portal, KERNEL)
        assert enabled() == []
        assert not list(portal.storage.archives.iterdir())
    zip_of(publisher, zipped, json=b"{}")
    with pytest.raises(SourceRefused):
        updates.update(portal, KERNEL)


def test_cache_mode_fetches_single_files(
    installed: Installed, data_dir: Path, publisher: Publisher, zipped: Path, tmp_path: Path
) -> None:
    portal = portal_of(installed, data_dir, publisher, f"zip:{zipped}", CACHE_MODE=True)
    with db.connection():
        updates.update(portal, KERNEL)
        assert enabled() == [FIRST]
        with open_source(portal) as source:
            (offer,) = source.refresh()
            target = source.fetch_manifest(offer).targets[WEB]
            name, expected = next(iter(target.files.items()))
            stored = f"kernel/files/{WEB}/1/{name}"
            source.fetch_file(stored, expected, tmp_path / "came")
            assert (tmp_path / "came").stat().st_size == expected.size
            with pytest.raises(UpstreamError, match="does not exist"):
                source.fetch_file(f"{stored}.other", expected, tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("odd:raises", "2.root.json cannot be read: eportal_fetch failed in one of odd, zips"),
        ("odd:disk", "2.root.json cannot be read: Permission denied."),
        ("odd:away", "The bucket does not answer."),
        ("odd:text", "2.root.json was not opened for reading bytes."),
        ("odd:bytes", "2.root.json cannot be read: 'bytes' object has no attribute 'read'."),
        ("odd:endless", "2.root.json is longer than"),
        ("odd:broken", "2.root.json cannot be read: the bucket has no bottom."),
        ("odd:unknown", "No plugin knows how to read odd:unknown."),
    ],
)
def test_a_plugin_that_fails_is_one_sentence(
    installed: Installed, data_dir: Path, publisher: Publisher, url: str, told: str
) -> None:
    portal = portal_of(installed, data_dir, publisher, url)
    with db.connection(), pytest.raises(UpstreamError) as caught:
        updates.update(portal, KERNEL)
    assert told in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_file_that_does_not_close_is_no_fault_of_our_disk(
    installed: Installed, data_dir: Path, publisher: Publisher, zipped: Path
) -> None:
    class Hangs:
        @hookimpl(tryfirst=True)
        def eportal_fetch(self, portal: Portal, url: str, path: str) -> BinaryIO | None:
            with zipfile.ZipFile(zipped) as file:
                known = path in file.namelist()
                return Unclosable(file.read(path)) if known and path.endswith(".bz2") else None

    installed.plugin("hangs", Hangs())
    portal = portal_of(installed, data_dir, publisher, f"zip:{zipped}")
    with db.connection():
        updates.update(portal, KERNEL)
        assert enabled() == [FIRST]


def test_such_an_address_may_be_set_when_a_plugin_reads_it(portal: Portal) -> None:
    config = load({}, {"EPORTAL_DATA_DIR": str(portal.config.data_dir)})
    portal = replace(portal, config=config)
    settings.put(portal, "PATCH_SOURCE_URL", "zip:/srv/patches.zip")
    assert config["PATCH_SOURCE_URL"] == "zip:/srv/patches.zip"
    no_plugins = ("http:patches.example.com", "HTTPS:/patches.example.com", "file:patches")
    no_secrets = ("zip://anna:secret@host/a", "zip:/a?token=secret", "zip:/a#secret")
    no_form = (*no_secrets, "zip:/srv/two words.zip", "zip:", "patches.zip")
    for wrong in (*no_form, *no_plugins):
        with pytest.raises(InvalidValue, match="PATCH_SOURCE_URL must be an address such as"):
            settings.put(portal, "PATCH_SOURCE_URL", wrong)
