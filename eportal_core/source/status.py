"""What a source is and what is to be done about it, told without its keys."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

from tuf.api.metadata import Root, Targets, Timestamp

from eportal_core.source.layout import STATES, TOP_ROLES, offers
from eportal_core.source.repository import Repository, load, metadata_file
from eportal_core.source.signing import warning
from eportal_core.storage import disk_errors


def fingerprint(folder: Path) -> str:
    """By which readers know a source: the SHA-256, in hex, of its first root metadata.

    Raises:
        StorageError: it cannot be read.
    """
    with disk_errors(folder):
        return hashlib.sha256(metadata_file(folder, Root.type, 1).read_bytes()).hexdigest()


def status(folder: Path) -> list[dict[str, Any]]:
    """A row for each role of the source in ``folder``.

    Raises:
        NotFound: there is no source.
        StorageError: something of it is missing, damaged or signed by others.
        UpstreamError: a list is not in the form that readers know.
    """
    repository = load(folder)
    waiting = repository.waiting()
    return [
        {
            "role": role,
            "version": metadata.signed.version,
            "published": role not in waiting,
            **_keys(repository, role),
            "expires": metadata.signed.expires.strftime("%Y-%m-%d %H:%M:%S"),
            **_states(repository, role),
            "warning": warning(role, metadata.signed),
        }
        for role, metadata in repository.metadata().items()
    ]


def _keys(repository: Repository, role: str) -> dict[str, int]:
    delegator = repository.delegators(Timestamp.type if role in TOP_ROLES else role)[-1]
    entry = delegator.get_delegated_role(role)
    return {"keys": len(entry.keyids), "threshold": entry.threshold}


def _states(repository: Repository, role: str) -> dict[str, int | None]:
    """How many patchsets of a product have which state; None for other roles."""
    if role in TOP_ROLES:
        return dict.fromkeys(STATES)
    targets: Targets = repository.lists[role].signed
    counts = Counter(offer.state for offer in offers(role, targets))
    return {state: counts[state] for state in STATES}
