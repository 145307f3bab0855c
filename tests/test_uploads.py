"""Forms with a file, read as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eportal_core.admin.uploads import (
    Upload,
    base_name,
    remove_leftovers,
    upload_folder,
)
from eportal_core.errors import InvalidValue, StorageError, TooLarge
from eportal_core.portal import Portal

TYPE = "multipart/form-data; boundary=edge"
LARGE = 3 * 1024 * 1024 + 17


def form(content: bytes, name: str = "K1.tar.bz2") -> bytes:
    return b"\r\n".join(
        [
            b"--edge",
            b'Content-Disposition: form-data; name="feed"',
            b"",
            "größe".encode(),
            b"--edge",
            b'Content-Disposition: form-data; name="archive"; filename="' + name.encode() + b'"',
            b"Content-Type: application/octet-stream",
            b"",
            content,
            b"--edge--",
            b"",
        ]
    )


def take(folder: Path, body: bytes, size: int = 65536, limit: int = 10**9) -> tuple[Upload, Path]:
    """Let it come in chunks of ``size``."""

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    upload = Upload(TYPE, lambda name: folder / name, limit)
    told: list[int] = []
    path = asyncio.run(upload.read(chunks(), told.append))
    assert told == sorted(told)
    assert told[-1] == upload.received
    return upload, path


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_chunks_of_any_size(tmp_path: Path, size: int) -> None:
    content = b"\r\n--edg\r\n--edge-\x00" * 50
    upload, path = take(tmp_path, form(content), size)
    assert path.read_bytes() == content
    assert upload.fields == {"feed": "größe"}


def test_a_large_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * (LARGE // 256) + b"end"
    _, path = take(tmp_path, form(content))
    assert path.read_bytes() == content


def test_no_more_than_the_limit(tmp_path: Path) -> None:
    take(tmp_path, form(b"x" * 100), limit=100)
    (tmp_path / "K1.tar.bz2").unlink()
    with pytest.raises(TooLarge, match="100 bytes"):
        take(tmp_path, form(b"x" * 101), limit=100)


def test_a_form_that_is_cut_off(tmp_path: Path) -> None:
    whole = form(b"x" * 100)
    for length in range(0, len(whole) - 5, 9):
        with pytest.raises(InvalidValue):
            take(tmp_path, whole[:length], 50)


def test_nothing_there_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "K1.tar.bz2").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        take(tmp_path, form(b"x"))
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("a.tar", "a.tar"),
        ("/etc/passwd", "passwd"),
        ("C:\\x\\a.tar", "a.tar"),
        ("..", ".."),
        ("../", ""),
        ("a/b\\c", "c"),
    ],
)
def test_names_have_no_folders(name: str, base: str) -> None:
    assert base_name(name) == base


def test_what_a_dead_process_left_is_removed(portal: Portal) -> None:
    uploads = portal.storage.patches_dir / "cache" / "uploads"
    with upload_folder(portal) as folder:
        (uploads / "dead").mkdir()
        (uploads / "dead" / "lock").touch()
        (uploads / "dead" / "archive").write_bytes(b"x")
        (uploads / "deader").mkdir()
        remove_leftovers(portal)
        assert [each.name for each in uploads.iterdir()] == [folder.name]
    assert list(uploads.iterdir()) == []
