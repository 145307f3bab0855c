"""Passwords of local users: hashed by argon2, few at a time, for each takes 64 MiB and 0.1 s."""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pwdlib import PasswordHash

#: At most so many are computed at once; a flood of logins waits here and not in the memory.
AT_ONCE = 2
_slots = threading.BoundedSemaphore(AT_ONCE)


def hashed(password: str) -> str:
    """What is kept of ``password``."""
    with _slots:
        return _hasher().hash(password)


def is_right(password: str, kept: str) -> bool:
    """Whether ``kept`` was made of ``password``; of nothing that was kept, it takes as long."""
    with _slots:
        return _hasher().verify(password, kept or _nobody()) and bool(kept)


@cache
def _hasher() -> PasswordHash:
    from pwdlib import PasswordHash
    from pwdlib.hashers.argon2 import Argon2Hasher

    return PasswordHash((Argon2Hasher(),))


@cache
def _nobody() -> str:
    """Of a password that nobody has: an unknown name takes as long as a wrong password."""
    import secrets

    return _hasher().hash(secrets.token_hex())
