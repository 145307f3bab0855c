"""The key that signs the tokens of forms: one a portal, so that they outlive a restart."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from eportal_core.storage import disk_errors

FILE_NAME = "ui-key"


def secret_key(data_dir: Path) -> str:
    """The key, made when there is none.

    Raises:
        StorageError: the disk refused.
    """
    path = data_dir / FILE_NAME
    with disk_errors():
        if not path.exists() or not path.read_text().strip():
            aside = path.with_name(f"{FILE_NAME}.new")
            aside.unlink(missing_ok=True)
            with os.fdopen(
                os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w"
            ) as file:
                file.write(secrets.token_hex(32))
            aside.replace(path)
        return path.read_text().strip()
