"""Compressed streams, read chunk by chunk from files that may be hostile, and written.

Reading is strict: a stream that is truncated, damaged, or followed by other bytes is refused, and
no chunk costs more memory than a fixed bound, whatever the stream asks for.
"""

from __future__ import annotations

import bz2
import contextlib
import fcntl
import gzip
import lzma
import os
import shutil
import subprocess
import zlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import zstandard

from eportal_core.errors import ArchiveError

#: Unpacked bytes handed on at a time; also the largest pipe an unprivileged process may ask for.
CHUNK = 1024 * 1024
#: Compressed bytes read at a time by the decoders inside this process; more of them would be copied
#: once for each of many tiny streams.
READ = 64 * 1024
#: The dictionary of ``xz -9`` is 64 MiB; streams that ask for more than twice that are refused.
XZ_MEMORY = 128 * 1024 * 1024
#: 4 bytes of zstd can stand for a 128 KiB block, so this much input is at most 16 MiB of output.
ZSTD_FEED = 512

Progress = Callable[[int, int], None]


class Decoder(Protocol):
    """One stream, as the decompressor objects of ``bz2`` and ``lzma`` handle it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class Writer(Protocol):
    """What compresses the bytes it is given; ``close`` ends the stream."""

    def write(self, data: bytes, /) -> int: ...
    def close(self) -> None: ...


class _GzipDecoder:
    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


class _ZstdDecoder:
    """zstandard's object has no ``max_length``, and its reader does not notice truncation."""

    def __init__(self) -> None:
        self._zstd = zstandard.ZstdDecompressor().decompressobj()
        self._pending = b""

    @property
    def eof(self) -> bool:
        return self._zstd.eof

    @property
    def needs_input(self) -> bool:
        return not self._pending

    @property
    def unused_data(self) -> bytes:
        return self._zstd.unused_data + self._pending

    def decompress(self, data: bytes, max_length: int) -> bytes:
        data = self._pending + data
        out: list[bytes] = []
        size = fed = 0
        while fed < len(data) and size < max_length and not self._zstd.eof:
            out.append(self._zstd.decompress(data[fed : fed + ZSTD_FEED]))
            fed += ZSTD_FEED
            size += len(out[-1])
        self._pending = data[fed:]
        return b"".join(out)


@dataclass(frozen=True)
class Compression:
    """A way to compress: how its files are named and begin, and how to read and write them.

    writer: wraps an open file, and leaves it open when closed itself. The bytes that it writes
        depend on its input and the library's version alone, so lbzip2 has no part in it.
    """

    title: str
    suffix: str
    magic: bytes
    decoder: Callable[[], Decoder]
    writer: Callable[[BinaryIO], Writer]


COMPRESSIONS = (
    Compression(
        title="bzip2",
        suffix=".bz2",
        magic=b"BZh",
        decoder=bz2.BZ2Decompressor,
        writer=partial(bz2.BZ2File, mode="wb"),
    ),
    Compression(
        title="gzip",
        suffix=".gz",
        magic=b"\x1f\x8b",
        decoder=_GzipDecoder,
        writer=partial(gzip.GzipFile, "", "wb", 9, mtime=0),
    ),
    Compression(
        title="xz",
        suffix=".xz",
        magic=b"\xfd7zXZ\x00",
        decoder=lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY),
        writer=partial(lzma.LZMAFile, mode="wb"),
    ),
    Compression(
        title="zstd",
        suffix=".zst",
        magic=b"\x28\xb5\x2f\xfd",
        decoder=_ZstdDecoder,
        writer=lambda file: zstandard.ZstdCompressor(level=10, write_checksum=True).stream_writer(
            file, closefd=False
        ),
    ),
)


def decompress(
    path: Path, progress: Progress | None = None
) -> Generator[bytes | memoryview, None, None]:
    """The unpacked bytes of ``path`` in order, in chunks of 1 MiB or so, never over 17 MiB.

    The file's first bytes decide how it is compressed, not its name. A chunk is valid until the
    next one is asked for. Close the iterator (``contextlib.closing``): that ends the decompressing
    process, if there is one. ``progress`` is told (bytes of ``path`` read, size of ``path``).

    Raises:
        ArchiveError: not compressed in a known way, truncated, damaged, or followed by other bytes.
        OSError: ``path`` cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        start = os.pread(file.fileno(), 8, 0)
        found = next((known for known in COMPRESSIONS if start.startswith(known.magic)), None)
        if found is None:
            titles = ", ".join(known.title for known in COMPRESSIONS)
            raise ArchiveError(f"it is not compressed in a known way ({titles}).")
        lbzip2 = shutil.which("lbzip2") if found.title == "bzip2" else None
        source: Generator[bytes | memoryview, None, None] = (
            _lbzip2(lbzip2, file, size) if lbzip2 else _decode(file, found)
        )
        with contextlib.closing(source):
            for chunk in source:
                if progress:
                    progress(file.tell(), size)
                yield chunk


def _decode(file: FileIO, compression: Compression) -> Generator[bytes, None, None]:
    """The bytes of all streams that stand one after the other in ``file``."""
    decoder = compression.decoder()
    data = b""
    while True:
        if not data and decoder.needs_input:
            data = file.read(READ)
        try:
            chunk = decoder.decompress(data, CHUNK)
        except (OSError, zlib.error, lzma.LZMAError, zstandard.ZstdError):
            raise ArchiveError(
                f"its {compression.title} stream is damaged, or needs too much memory."
            ) from None
        if chunk:
            yield chunk
        if decoder.eof:
            data = decoder.unused_data or file.read(READ)
            if not data:
                return
            if not data.startswith(compression.magic[: len(data)]):
                raise ArchiveError(f"other bytes follow its {compression.title} stream.")
            decoder = compression.decoder()
        elif not data and not chunk:
            raise ArchiveError(f"its {compression.title} stream is truncated.")
        else:
            data = b""


def _lbzip2(program: str, file: FileIO, size: int) -> Generator[memoryview, None, None]:
    """As ``_decode``, by a program that decompresses ordinary bzip2 files on all cores.

    The child shares the offset of ``file``: where it reads is how far it has come.
    """
    if not _ends_like_bzip2(os.pread(file.fileno(), 11, max(0, size - 11))):
        # lbzip2 ignores what follows a stream, and says nothing of it.
        raise ArchiveError("its bzip2 stream is truncated, or other bytes follow it.")
    process = subprocess.Popen(
        [program, "-dc"],
        bufsize=0,
        stdin=file,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # It takes options from the environment.
        env={},
    )
    buffer = memoryview(bytearray(CHUNK))
    with process:
        pipe = cast(FileIO, process.stdout)
        try:
            # Costs speed only: a user may have no right to so large a pipe.
            with contextlib.suppress(OSError):
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, CHUNK)
            while count := pipe.readinto(buffer):
                yield buffer[:count]
            code = process.wait()
            if code < 0:
                raise ArchiveError(f"lbzip2 was ended by signal {-code} while it read it.")
            if code > 0:
                raise ArchiveError("its bzip2 stream is truncated or damaged.")
        finally:
            process.kill()


def _ends_like_bzip2(tail: bytes) -> bool:
    """Whether a file with these last 11 bytes ends where a bzip2 stream does.

    A stream ends with the 48 bits of sqrt(pi), a CRC of 32 bits, and up to 7 bits to fill the byte.
    """
    bits = int.from_bytes(tail, "big")
    return any(bits >> 32 + fill & 0xFFFFFFFFFFFF == 0x177245385090 for fill in range(8))
