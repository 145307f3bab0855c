"""Whether ``repomd.xml`` bears the signature of a key that the operator trusts, and of no other."""

from __future__ import annotations

import shutil
from pathlib import Path

from eportal_core import InvalidValue, StorageError, UpstreamError

#: Nothing is looked up, started or remembered: what the key file holds is all that counts.
_OPTIONS = ["--no-autostart", "--no-auto-key-locate", "--trust-model", "always"]


def check_signature(data: bytes, signature: bytes, keys: Path, home: Path) -> None:
    """Return when ``signature``, detached, is good for ``data`` and by one of ``keys``.

    keys: file of armored public keys. home: folder for gpg, ours alone; what a crash left in it
    does not count, and nothing is left.

    Raises:
        InvalidValue: the file of keys cannot be used, or gpg is not installed.
        StorageError: the disk refused.
        UpstreamError: the signature is bad, or by another, an expired or a revoked key.
    """
    import gnupg

    try:
        armored = keys.read_bytes()
    except OSError as error:
        raise InvalidValue(f"ESU_GPG_KEY: {keys} cannot be read: {error.strerror}.") from error
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True, mode=0o700)
    try:
        try:
            gpg = gnupg.GPG(gnupghome=str(home), options=_OPTIONS)
        except (OSError, ValueError) as error:
            raise InvalidValue("gpg cannot be run: install the package gnupg.") from error
        imported = gpg.import_keys(armored)
        if not imported.fingerprints:
            # gpg tells what it found in the keys, unless it has no room to look.
            if not imported.results:
                raise StorageError(f"The disk refused at {home}: gpg cannot keep the keys there.")
            raise InvalidValue(f"ESU_GPG_KEY: {keys} holds no public key.")
        detached = home / "signature"
        detached.write_bytes(signature)
        found = gpg.verify_data(str(detached), data)
    finally:
        shutil.rmtree(home)
    if not found.valid or found.problems or found.returncode:
        reason = found.problems[-1]["status"] if found.problems else found.status
        raise UpstreamError(f"The signature of repomd.xml is refused: {reason or 'there is none'}.")
