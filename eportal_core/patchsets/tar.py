"""A tar stream, read once from front to end, with none of tar's surprises.

Python's ``tarfile`` takes damage in the middle for the end of the archive, and reads extended
headers of any size into memory. Here every byte is accounted for. Source of the format:
POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block"; GNU tar manual, "Basic Tar
Format" (types L and K).
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from eportal_core.errors import ArchiveError

BLOCK = 512
#: An extended header (a long name, or pax records) may have this many bytes ...
EXTENSION_BYTES = 64 * 1024
#: ... and a member this many of them.
EXTENSIONS = 4
#: Zero bytes that may fill the last record; ``tar -b 2048`` writes records of 1 MiB.
PADDING = 1024 * 1024

_REFUSED_TYPES = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


@dataclass(frozen=True)
class Member:
    """One entry: a regular file, a directory, or a symbolic link (``link`` is its text).

    name: as the archive has it, a directory's without the ``/`` at its end; bytes that are not
        UTF-8 are lone surrogates.
    size: bytes of content, not negative; 0 unless it is a file.
    """

    name: str
    size: int
    directory: bool = False
    link: str | None = None


class TarReader:
    """The members of a tar stream, and after each its content.

    limit: bytes of the whole stream at most, headers and padding included.
    setting: what the limit comes from, for the sentence.
    """

    def __init__(self, chunks: Iterator[bytes | memoryview], limit: int, setting: str) -> None:
        self._chunks = chunks
        self._chunk = memoryview(b"")
        self._allowed = f"more than the {limit} bytes allowed ({setting})"
        self._left = limit
        self._content = 0

    def __iter__(self) -> Iterator[Member]:
        """Every member; content that was not read is skipped.

        Raises:
            ArchiveError: not a tar stream, damaged, truncated, too large, with other bytes at its
                end, or with a member that is not a file, a directory or a symbolic link.
        """
        while (member := self._member()) is not None:
            self._content = member.size
            yield member
            for _ in self.content():
                pass
            self._exactly(-member.size % BLOCK)
        if any(self._exactly(BLOCK)):
            raise ArchiveError("its tar stream is damaged.")
        padding = 0
        while piece := self._some(PADDING):
            padding += len(piece)
            if padding > PADDING or any(piece):
                raise ArchiveError("other bytes follow its tar stream.")

    def content(self) -> Iterator[memoryview]:
        """The bytes of the current member; a piece is valid until the next one is asked for."""
        while self._content:
            piece = self._some(self._content)
            if not piece:
                raise ArchiveError("its tar stream is truncated.")
            self._content -= len(piece)
            yield piece

    def _member(self) -> Member | None:
        """The next member, None at the end-of-archive block."""
        name = link = None
        for extensions in range(EXTENSIONS + 1):
            header = self._header()
            if header is None:
                if extensions:
                    raise ArchiveError("an extended header belongs to no member.")
                return None
            if header.type == tarfile.GNUTYPE_LONGNAME:
                name = _text(self._extension(header).rstrip(b"\0"))
            elif header.type == tarfile.GNUTYPE_LONGLINK:
                link = _text(self._extension(header).rstrip(b"\0"))
            elif header.type == tarfile.XHDTYPE:
                records = _pax_records(self._extension(header))
                name = records.get("path", name)
                link = records.get("linkpath", link)
            elif header.type == tarfile.XGLTYPE:
                shared = _pax_records(self._extension(header))
                if "path" in shared or "linkpath" in shared:
                    raise ArchiveError("a global header names its members.")
            else:
                return self._checked(
                    header,
                    header.name if name is None else name,
                    header.linkname if link is None else link,
                )
        raise ArchiveError("a member has too many extended headers.")

    def _header(self) -> tarfile.TarInfo | None:
        block = self._exactly(BLOCK)
        if not any(block):
            return None
        try:
            return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            raise ArchiveError("it is not a tar archive, or a damaged one.") from None

    def _checked(self, header: tarfile.TarInfo, name: str, link: str) -> Member:
        if header.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            if not 0 <= header.size <= self._left + len(self._chunk):
                raise ArchiveError(f"with {shown(name)} it unpacks to {self._allowed}.")
            return Member(name, header.size)
        if header.type not in (tarfile.DIRTYPE, tarfile.SYMTYPE):
            kind = _REFUSED_TYPES.get(header.type, f"of the unknown type {header.type!r}")
            raise ArchiveError(f"{shown(name)} is {kind}.")
        if header.size != 0:
            raise ArchiveError(f"{shown(name)} has content, but is not a file.")
        if header.type == tarfile.SYMTYPE:
            return Member(name, 0, link=link)
        return Member(name.rstrip("/"), 0, directory=True)

    def _extension(self, header: tarfile.TarInfo) -> bytes:
        if not 0 <= header.size <= EXTENSION_BYTES:
            raise ArchiveError("an extended header is too large.")
        return self._exactly(header.size + -header.size % BLOCK)[: header.size]

    def _some(self, size: int) -> memoryview:
        """At least 1 byte and at most ``size``; empty at the end of the stream."""
        while not self._chunk:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._left -= len(chunk)
            if self._left < 0:
                raise ArchiveError(f"it unpacks to {self._allowed}.")
            self._chunk = memoryview(chunk)
        piece = self._chunk[:size]
        self._chunk = self._chunk[size:]
        return piece

    def _exactly(self, size: int) -> bytes:
        data = bytes(self._some(size))
        while len(data) < size:
            piece = self._some(size - len(data))
            if not piece:
                raise ArchiveError("its tar stream is truncated.")
            data += piece
        return data


def shown(name: str) -> str:
    """``name`` for a sentence: quoted, escaped, of bounded length."""
    return repr(name if len(name) <= 200 else f"{name[:200]}…")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _pax_records(data: bytes) -> dict[str, str]:
    """The records ``<length> <key>=<value>\\n`` of a pax header.

    Raises:
        ArchiveError: malformed, or records that change how long a member's content is.
    """
    records: dict[str, str] = {}
    start = 0
    while start < len(data):
        # Five digits are enough for the largest header that is read.
        blank = data.find(b" ", start, start + 6)
        digits = data[start : max(blank, start)]
        end = start + int(digits) if digits.isdigit() else start
        if not blank < end <= len(data) or data[end - 1 : end] != b"\n":
            raise ArchiveError("a pax header is damaged.")
        key, _, value = _text(data[blank + 1 : end - 1]).partition("=")
        if key == "size" or key.startswith("GNU.sparse."):
            raise ArchiveError(f"a pax header has the record {shown(key)}, which is not supported.")
        records[key] = value
        start = end
    return records
