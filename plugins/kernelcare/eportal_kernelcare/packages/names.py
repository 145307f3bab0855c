"""What the name of a file in a package repository tells of it.

Sources: Debian repository format (wiki.debian.org/DebianRepository/Format) for ``dists`` and
``by-hash``; createrepo_c, ``--unique-md-filenames``, for names in ``repodata``.
"""

from __future__ import annotations

import re

_SEGMENT_MAX = 255
_PATH_MAX = 2048
#: Visible ASCII without slash and backslash; the first character is no dot.
_SEGMENT = re.compile(r"[!-\-0-\[\]-~][!-.0-\[\]-~]*")

_PACKAGES = (".rpm", ".deb", ".udeb", ".ddeb")
_BY_HASH = re.compile(r"(?:^|/)by-hash/(MD5Sum|SHA1|SHA256|SHA512)/([0-9a-f]+)$")
_REPODATA = re.compile(r"(?:^|/)repodata/([0-9a-f]+)-[^/]+$")
_ALGORITHMS = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}

_SUITE = re.compile(r"((?:.*/)?dists/[^/]+)/")
_REPODATA_FOLDER = re.compile(r"((?:.*/)?repodata)/")
_FLAT = re.compile(r"(.*/)?(?:InRelease|Release(?:\.gpg)?|(?:Packages|Sources|Contents)[^/]*)")


def clean_path(text: str) -> str | None:
    """The path of a file below the upstream; None for one that no repository has.

    Folders are none, nor are ``..``, hidden files, and whatever a file system or another server
    might read in another way. ``.`` means nothing: apt writes it for repositories without suites.
    """
    segments = [segment for segment in text.split("/") if segment != "."]
    if len(text) > _PATH_MAX or not all(
        len(segment) <= _SEGMENT_MAX and _SEGMENT.fullmatch(segment) for segment in segments
    ):
        return None
    return "/".join(segments) or None


def hash_in(path: str) -> tuple[str, str] | None:
    """Algorithm and hex digest of the file's bytes, when its name tells them."""
    found = _BY_HASH.search(path) or _REPODATA.search(path)
    if found is None:
        return None
    digest = found[found.re.groups]
    algorithm = _ALGORITHMS.get(len(digest))
    return (algorithm, digest) if algorithm else None


def is_final(path: str) -> bool:
    """Whether another file would have another name."""
    return path.endswith(_PACKAGES) or hash_in(path) is not None


def group_of(path: str) -> str | None:
    """The folder whose indexes describe each other and this file; None when none does."""
    for pattern in (_SUITE, _REPODATA_FOLDER):
        if found := pattern.match(path):
            return found[1]
    if found := _FLAT.fullmatch(path):
        return found[1] or "."
    return None
