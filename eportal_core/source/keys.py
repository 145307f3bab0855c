"""The signing keys of a source: ed25519, a file each, in a folder that only its owner can read.

``<role>-<first 16 digits of the key's id>.pem`` holds a private key as PKCS #8 in PEM.
``root.json`` is the root metadata that the publisher trusts, so that nobody who can write into the
source has the publisher sign for keys that are not his. Files of roles that are signed elsewhere
may be moved away.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner, Key, Signer

from eportal_core.errors import Conflict, InvalidValue, NotFound
from eportal_core.storage import disk_errors, sync_folder, write_file

_OTHERS = 0o077
#: Names the source for which the keys were begun, until that is there.
_UNFINISHED = "unfinished"
#: What a death may leave of it.
_ASIDE = f"{_UNFINISHED}.new"


@dataclass(frozen=True)
class KeyFolder:
    """A folder of keys; ``open_keys`` and ``create_keys`` give one that was checked."""

    path: Path

    @property
    def _pinned(self) -> Path:
        return self.path / "root.json"

    def make(self, role: str, count: int) -> list[Key]:
        """New keys of ``role``, stored durably; the old ones stay.

        Raises:
            StorageError: the disk refused.
        """
        signers = [CryptoSigner.generate_ed25519() for _ in range(count)]
        with disk_errors(self.path):
            for signer in signers:
                self._store(role, signer)
            sync_folder(self.path)
        return [signer.public_key for signer in signers]

    def signers(self, role: str, keyids: Collection[str]) -> list[Signer]:
        """Those of the keys ``keyids`` of ``role`` that are here.

        Raises:
            InvalidValue: a file can be read by others, or is no such key.
            StorageError: a file cannot be read.
        """
        found: list[Signer] = []
        with disk_errors(self.path):
            for path in sorted(self.path.glob(f"{role}-*.pem")):
                signer = _load(path)
                if signer.public_key.keyid in keyids:
                    found.append(signer)
        return found

    def pin(self, root: bytes) -> None:
        """Trust this root metadata from now on.

        Raises:
            StorageError: the disk refused.
        """
        with disk_errors(self.path):
            if not self._pinned.exists() or self._pinned.read_bytes() != root:
                write_file(self._pinned, root)

    def pinned(self) -> bytes:
        """The root metadata that is trusted.

        Raises:
            NotFound: there is none.
        """
        with disk_errors(self.path):
            if not self._pinned.exists():
                raise NotFound(
                    f"There is no {self._pinned}: copy it from where the source was made."
                )
            return self._pinned.read_bytes()

    def finish(self) -> None:
        """Note that there is a source now that is signed with these keys.

        Raises:
            StorageError: the disk refused.
        """
        with disk_errors(self.path):
            (self.path / _UNFINISHED).unlink(missing_ok=True)
            sync_folder(self.path)

    def _store(self, role: str, signer: CryptoSigner) -> None:
        path = self.path / f"{role}-{signer.public_key.keyid[:16]}.pem"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(signer.private_bytes)
            file.flush()
            os.fsync(file.fileno())


def default_keys(source: Path) -> Path:
    """Where the keys of a source are, unless another folder is named."""
    place = source.resolve()
    return place.parent / f"{place.name}.keys"


def create_keys(path: Path, source: Path) -> KeyFolder:
    """An empty folder for the keys of ``source``, until ``finish``; unfinished ones are removed.

    Raises:
        Conflict: there is something in it.
        InvalidValue: it is inside the source.
        StorageError: it cannot be made.
    """
    _refuse_inside(path, source)
    with disk_errors(path):
        if is_unfinished(path, source):
            discard_keys(KeyFolder(path))
        if path.exists() and any(each.name != _ASIDE for each in path.iterdir()):
            raise Conflict(
                f"{path} is not empty: name another folder with --keys, or remove it if no source "
                f"was signed with what is in it."
            )
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
        write_file(path / _UNFINISHED, _name(source))
    return KeyFolder(path)


def is_unfinished(path: Path, source: Path) -> bool:
    """Whether nothing was published with the keys in ``path``: ``source`` was not finished."""
    with disk_errors(path), suppress(FileNotFoundError, NotADirectoryError):
        return (path / _UNFINISHED).read_bytes() == _name(source)
    return False


def open_keys(path: Path, source: Path) -> KeyFolder:
    """The folder with the keys of ``source``.

    Raises:
        NotFound: there is none.
        InvalidValue: it is inside the source, or others may look into it.
    """
    _refuse_inside(path, source)
    if not path.is_dir():
        raise NotFound(f"There is no folder {path} with the keys of the source: see --keys.")
    _refuse_open(path, "0700")
    return KeyFolder(path)


def discard_keys(keys: KeyFolder) -> None:
    """Remove keys that nothing was published with."""
    shutil.rmtree(keys.path, ignore_errors=True)


def _name(source: Path) -> bytes:
    return os.fsencode(source.resolve())


def _refuse_inside(path: Path, source: Path) -> None:
    if path.resolve().is_relative_to(source.resolve()):
        raise InvalidValue(
            f"{path} is inside the source {source}, from where everybody may fetch it: keep the "
            f"keys elsewhere (--keys)."
        )


def _refuse_open(path: Path, mode: str) -> None:
    if path.stat().st_mode & _OTHERS:
        raise InvalidValue(f"{path} can be read by others than its owner: chmod {mode} {path}.")


def _load(path: Path) -> CryptoSigner:
    _refuse_open(path, "0600")
    try:
        return CryptoSigner(load_pem_private_key(path.read_bytes(), None))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidValue(f"{path} is not a private key in PEM without a password.") from error
