"""What feeds, keys and hosts may be called."""

from __future__ import annotations

import re
import secrets
import string

from eportal_core.errors import InvalidValue

_ALPHABET = string.ascii_letters + string.digits
_FEED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: What else the first part of a path may be.
_NOT_FEEDS = frozenset({"admin", "repo", "source", "userspace"})
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:+-]{0,127}")
#: Source: RFC 1123 hosts and RFC 1035 lengths; underscores are seen in the wild.
_HOSTNAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})")
#: IPv4 and IPv6, with a zone.
_ADDRESS = re.compile(r"[A-Za-z0-9.:%_-]{1,64}")
TAGS_MAX_LENGTH = 1000


def random_id() -> str:
    """16 random letters and digits, as server ids and generated keys are."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(16))


def check_feed(name: str) -> str:
    """Raises: InvalidValue: no feed may be called so."""
    if name in _NOT_FEEDS:
        raise InvalidValue(f"A feed cannot be named {name}: paths of the portal begin with it.")
    if not _FEED.fullmatch(name):
        raise InvalidValue(
            f"{_quoted(name)} is no feed name: up to 64 letters, digits, dots, dashes and "
            f"underscores, beginning with a letter or digit."
        )
    return name


def check_key(key: str) -> str:
    """Raises: InvalidValue: no key may be called so."""
    if not _KEY.fullmatch(key):
        raise InvalidValue(
            f"{_quoted(key)} is no key: up to 128 letters, digits and any of . _ @ : + -, "
            f"beginning with a letter or digit."
        )
    return key


def check_hostname(hostname: str) -> str:
    """Raises: InvalidValue: no host is called so."""
    if not _HOSTNAME.fullmatch(hostname):
        raise InvalidValue(f"{_quoted(hostname)} is no host name.")
    return hostname


def shown_address(address: str) -> str:
    """``address``, or nothing if it cannot be one: a proxy passes on what it was told."""
    return address if _ADDRESS.fullmatch(address) else ""


def check_text(text: str, what: str, length: int) -> str:
    """``text``.

    Raises:
        InvalidValue: it is not printable, or has more than ``length`` characters.
    """
    if len(text) > length or not text.isprintable():
        raise InvalidValue(f"The {what} may have {length} printable characters at most.")
    return text


def check_tags(tags: str) -> str | None:
    """Tags in their normal form, ``env:prod;ubuntu``; None for none.

    Raises:
        InvalidValue: they cannot be shown, or are too long.
    """
    check_text(tags, "tags", TAGS_MAX_LENGTH)
    parts = dict.fromkeys(part.strip() for part in tags.split(";"))
    return ";".join(part for part in parts if part) or None


def is_plain(name: str) -> bool:
    """Whether anything may bear this name; for others the database cannot even be asked."""
    return name.isprintable()


def told(name: str) -> str:
    """A name from anyone, as part of a sentence: as it is, unless it would tear the line."""
    return name if name and is_plain(name) and len(name) <= 80 else _quoted(name)


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
