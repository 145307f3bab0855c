"""A login that is under way: what the portal told the provider, bound to one browser.

The browser keeps a handle in a cookie, signed and for a few minutes. State, nonce and the verifier
of the code are made of the handle by a secret of this process; nobody else can make them, and the
verifier goes to nobody but the provider. Source: RFC 6749, 10.12; RFC 7636; RFC 9700, 4.7.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

COOKIE = "eportal_sso"
#: Seconds that a user has for it.
LIFETIME = 600
_ONWARD_MAX_LENGTH = 2000
_USED_MAX = 10_000

_secret = secrets.token_bytes(32)
#: Handles that were used, and until when they would be good.
_used: dict[str, float] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class Transaction:
    """handle: random. until: its end, by the steady clock. onward: where the user was going."""

    handle: str
    until: int
    onward: str

    @property
    def state(self) -> str:
        """Comes back with the browser."""
        return _made("state", self.handle)

    @property
    def nonce(self) -> str:
        """Comes back in the ID token."""
        return _made("nonce", self.handle)

    @property
    def verifier(self) -> str:
        """Proves to the provider that who fetches the tokens is who began. Source: RFC 7636."""
        return _made("verifier", self.handle)

    def sealed(self) -> str:
        """What the cookie holds."""
        content = f"{self.handle}.{self.until}.{_encoded(self.onward.encode())}"
        return f"{content}.{_made('cookie', content)}"


def begin(onward: str) -> Transaction:
    short = onward if len(onward) <= _ONWARD_MAX_LENGTH else ""
    return Transaction(secrets.token_urlsafe(24), int(time.monotonic()) + LIFETIME, short)


def resume(cookie: str, state: str) -> Transaction | None:
    """The login of this browser and this state; None unless it is under way. It is over then."""
    content, _, seal = cookie.rpartition(".")
    if not _same(seal, _made("cookie", content)):
        return None
    handle, until, onward = content.split(".")
    transaction = Transaction(handle, int(until), urlsafe_b64decode(f"{onward}==").decode())
    now = time.monotonic()
    if not _same(state, transaction.state) or now >= transaction.until:
        return None
    with _lock:
        for old in [old for old, end in _used.items() if end <= now]:
            del _used[old]
        if handle in _used:
            return None
        if len(_used) >= _USED_MAX:
            del _used[next(iter(_used))]
        _used[handle] = transaction.until
    return transaction


def _made(purpose: str, text: str) -> str:
    return _encoded(hmac.digest(_secret, f"{purpose}:{text}".encode(), hashlib.sha256))


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())
