"""Which patch source is believed: the root metadata that an operator pinned, and no other.

A root is known by its fingerprint, the sha256 of its file. Metadata of different roots is kept
apart, so that no other source can make use of what one has left here.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from eportal_core.config import Config
from eportal_core.errors import InvalidValue, NoSource, SourceRefused
from eportal_core.source.layout import METADATA
from eportal_core.source.places import Place
from eportal_core.storage import disk_errors, write_file

ROOT, FINGERPRINT = "PATCH_SOURCE_ROOT", "PATCH_SOURCE_FINGERPRINT"
#: A root file is not longer, bytes.
MAX_BYTES = 512_000
FIRST_ROOT = f"{METADATA}/1.root.json"
_HEX = re.compile(r"[0-9a-f]{64}")


def folder_of(config: Config) -> Path:
    """Where a portal keeps what it knows of its patch sources."""
    return config.data_dir / "source"


def pinned(config: Config, place: Place) -> bytes:
    """The root that is trusted, as bytes of its file.

    PATCH_SOURCE_ROOT decides, or PATCH_SOURCE_FINGERPRINT, else what ``pin`` was given.

    Raises:
        NoSource: nothing is trusted yet.
        InvalidValue: a setting cannot be used.
        SourceRefused: the source has another fingerprint.
        UpstreamError: its root cannot be had, and is not kept here yet.
    """
    path, wanted = config[ROOT], config[FINGERPRINT]
    refuse_both(path, wanted)
    if path:
        return read_root(Path(path))
    if wanted:
        return _by_fingerprint(config, place, checked_fingerprint(wanted))
    kept = _pin_file(config)
    if not kept.exists():
        raise NoSource(
            f"The patch source {place} is not trusted yet: compare the fingerprint that kc.eportal "
            f"source trust shows, or give the publisher's root.json to kc.eportal source trust "
            f"--root."
        )
    return read_root(kept)


def refuse_both(path: str | None, wanted: str | None) -> None:
    """Raises: InvalidValue: both settings would decide."""
    if path and wanted:
        raise InvalidValue(f"{ROOT} and {FINGERPRINT} may not both be set; unset one.")


def pin(config: Config, root: bytes) -> None:
    """Trust ``root`` from now on, where no setting decides.

    Raises:
        InvalidValue: a setting decides, so that this would change nothing.
        SourceRefused: it is no root.
        StorageError: the disk refused.
    """
    for setting in (ROOT, FINGERPRINT):
        if config[setting]:
            raise InvalidValue(f"{setting} is set and decides; change it there, or unset it.")
    check_root(root, "This file")
    _keep(_pin_file(config), root)


def kept_fingerprint(config: Config) -> str | None:
    """Of the root that ``pin`` was given last; None when it was given none."""
    path = _pin_file(config)
    if not path.exists():
        return None
    with disk_errors():
        return fingerprint(path.read_bytes())


def first_root(place: Place) -> bytes:
    """The first root of the source, which nothing vouches for.

    Raises:
        UpstreamError: it cannot be had.
        SourceRefused: it is no root.
    """
    root = place.read(FIRST_ROOT, MAX_BYTES)
    check_root(root, f"{FIRST_ROOT} of {place}")
    return root


def by_fingerprint(place: Place, wanted: str) -> bytes:
    """The first root of the source, which must have this fingerprint.

    Raises:
        SourceRefused: it has another one.
        UpstreamError: it cannot be had.
    """
    root = first_root(place)
    if fingerprint(root) != wanted:
        raise SourceRefused(
            f"The patch source {place} has the fingerprint {fingerprint(root)}, and {wanted} is "
            f"trusted: it is another source, or somebody stands between it and this portal."
        )
    return root


def fingerprint(root: bytes) -> str:
    return hashlib.sha256(root).hexdigest()


def checked_fingerprint(text: str) -> str:
    """``text`` as 64 lower hex digits; colons and blanks may stand between them.

    Raises:
        InvalidValue: it is no sha256.
    """
    digits = re.sub(r"[\s:]", "", text).lower().removeprefix("sha256")
    if not _HEX.fullmatch(digits):
        raise InvalidValue("The fingerprint of a patch source is a sha256, 64 hex digits.")
    return digits


def read_root(path: Path) -> bytes:
    """A root file.

    Raises:
        InvalidValue: it cannot be read.
        SourceRefused: it is no root.
    """
    try:
        with path.open("rb") as file:
            root = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidValue(f"{path} cannot be read: {error.strerror}.") from None
    check_root(root, str(path))
    return root


def check_root(root: bytes, what: str) -> None:
    """Refuse what is no root metadata, signed by its own keys.

    Raises:
        SourceRefused: it is not; ``what`` begins the sentence.
    """
    from tuf.api.exceptions import RepositoryError
    from tuf.api.metadata import Metadata, Root

    try:
        found = Metadata[Root].from_bytes(root)
        if len(root) > MAX_BYTES or not isinstance(found.signed, Root):
            raise RepositoryError("it is something else")
        found.signed.verify_delegate(Root.type, found.signed_bytes, found.signatures)
    except RepositoryError:
        raise SourceRefused(
            f"{what} is no root.json of a patch source, signed by its own keys."
        ) from None


def _by_fingerprint(config: Config, place: Place, wanted: str) -> bytes:
    kept = folder_of(config) / wanted / "pinned.json"
    if kept.exists():
        root = read_root(kept)
        if fingerprint(root) == wanted:
            return root
    root = by_fingerprint(place, wanted)
    _keep(kept, root)
    return root


def _pin_file(config: Config) -> Path:
    return folder_of(config) / "trusted.root.json"


def _keep(path: Path, root: bytes) -> None:
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, root)
