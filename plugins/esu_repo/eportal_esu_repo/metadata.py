"""What the metadata of a yum repository says, read by createrepo_c and believed in nothing.

Source of the format: createrepo_c's library; names, checksums and sizes are checked here, because
they become paths on this machine and the proof of what is downloaded.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import tempfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eportal_core import UpstreamError
from eportal_esu_repo.settings import SAFE_PATH, SEGMENT

#: Checksums that prove something, and their hex digits. Source: FIPS 180-4.
_DIGITS = {"sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}
_METADATA_NAME = re.compile(rf"repodata/(?!repomd\.xml){SEGMENT}")
#: No repository has more packages, or more files of metadata.
_MAX_PACKAGES = 200_000
_MAX_FILES = 100
#: A revision is a number, by default the time in seconds, or a few words.
_MAX_REVISION = 100
_PIECE = 1 << 20


@dataclass(frozen=True)
class Remote:
    """A file as signed metadata names it; ``href`` is its path below the repository.

    size: bytes. algorithm, digest: as hashlib names and prints them.
    """

    href: str
    size: int
    algorithm: str
    digest: str

    @property
    def checksum(self) -> tuple[str, str]:
        return self.algorithm, self.digest


@dataclass(frozen=True)
class Repomd:
    """``repomd.xml``: a revision, the newest of its timestamps, and the other metadata files."""

    revision: str
    timestamp: int
    files: tuple[Remote, ...]
    primary: Remote

    def is_older(self, other: Repomd) -> bool:
        """Revisions count if both are numbers, as they are by default, then timestamps."""
        if self.revision.isdecimal() and other.revision.isdecimal():
            return (int(self.revision), self.timestamp) < (int(other.revision), other.timestamp)
        return self.timestamp < other.timestamp


def read_repomd(data: bytes, limit: int) -> Repomd:
    """Read ``repomd.xml``; no file it names may have more than ``limit`` bytes.

    Raises:
        UpstreamError: it cannot be read, or names what may not be fetched.
    """
    import createrepo_c

    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            found = createrepo_c.Repomd(file.name)
        except createrepo_c.CreaterepoCError:
            raise UpstreamError("repomd.xml cannot be read.") from None
    records = list(found.records)
    if len(records) > _MAX_FILES:
        raise UpstreamError(f"repomd.xml names more than {_MAX_FILES} files.")
    files = {
        record.type: _remote(
            "metadata file", record, record.size, record.checksum, limit, _METADATA_NAME
        )
        for record in records
    }
    if "primary" not in files:
        raise UpstreamError("repomd.xml names no primary metadata.")
    distinct = _distinct(files.values())
    newest = max(record.timestamp for record in records)
    revision = found.revision or ""
    if len(revision) > _MAX_REVISION or not revision.isprintable():
        raise UpstreamError("repomd.xml is refused: its revision is no number and no name.")
    return Repomd(revision, newest, tuple(distinct.values()), files["primary"])


def read_packages(primary: Path, unpacked_limit: int, package_limit: int) -> dict[str, Remote]:
    """The packages that the file of primary metadata lists, by href.

    Raises:
        UpstreamError: it cannot be read, or names what may not be fetched.
    """
    import createrepo_c

    _check_unpacked(primary, unpacked_limit)
    packages: list[Remote] = []
    refusals: list[UpstreamError] = []

    def take(package: Any) -> bool:
        try:
            packages.append(
                _remote("package", package, package.size_package, package.pkgId, package_limit)
            )
            if len(packages) > _MAX_PACKAGES:
                raise UpstreamError(f"There are more than {_MAX_PACKAGES} packages.")
        except UpstreamError as refusal:
            refusals.append(refusal)
            raise
        return True

    try:
        createrepo_c.xml_parse_primary(str(primary), pkgcb=take, do_files=False)
    except createrepo_c.CreaterepoCError:
        raise (refusals or [UpstreamError("The primary metadata cannot be read.")])[0] from None
    return _distinct(packages)


def _remote(
    what: str,
    found: Any,
    size: int,
    digest: str | None,
    limit: int,
    name: re.Pattern[str] = SAFE_PATH,
) -> Remote:
    href, algorithm = found.location_href or "", (found.checksum_type or "").lower()
    if found.location_base or len(href) > 1000 or not name.fullmatch(href):
        raise UpstreamError(f"The {what} {href!r} is refused: its place is not plainly in here.")
    if what == "package" and (href.startswith("repodata/") or not href.endswith(".rpm")):
        raise UpstreamError(f"The {what} {href!r} is refused: it is not named as one.")
    if algorithm not in _DIGITS:
        raise UpstreamError(f"The {what} {href} is refused: a {algorithm} checksum proves nothing.")
    if not re.fullmatch(rf"[0-9a-f]{{{_DIGITS[algorithm]}}}", digest or ""):
        raise UpstreamError(f"The {what} {href} is refused: its checksum is no {algorithm}.")
    if not 0 < size <= limit:
        raise UpstreamError(f"The {what} {href} is refused: it has {size} bytes, not 1 to {limit}.")
    return Remote(href, size, algorithm, str(digest))


def _distinct(files: Iterable[Remote]) -> dict[str, Remote]:
    """By href; one that would have to be two files at once is refused."""
    found: dict[str, Remote] = {}
    for file in files:
        if found.setdefault(file.href, file) != file:
            raise UpstreamError(f"{file.href} is refused: it is named twice, with other checksums.")
    return found


def _check_unpacked(path: Path, limit: int) -> None:
    """Refuse a small file that unpacks to a very large one, before it is parsed."""
    import zstandard

    openers: dict[str, Callable[[Path], Any]] = {
        ".gz": gzip.open,
        ".bz2": bz2.open,
        ".xz": lzma.open,
        ".zst": zstandard.open,
        ".xml": lambda path: path.open("rb"),
    }
    if path.suffix not in openers:
        raise UpstreamError(f"{path.name} is packed in a way that is not known here.")
    total = 0
    try:
        with openers[path.suffix](path) as file:
            while piece := file.read(_PIECE):
                total += len(piece)
                if total > limit:
                    raise UpstreamError(f"{path.name} unpacks to more than {limit} bytes.")
    except (EOFError, OSError, ValueError, lzma.LZMAError, zlib.error, zstandard.ZstdError) as bad:
        # gzip and bz2 tell of wrong bytes by an OSError that has no number.
        if isinstance(bad, OSError) and bad.errno:
            raise
        raise UpstreamError(f"{path.name} cannot be unpacked: {bad}.") from bad
