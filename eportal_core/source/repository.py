"""The signed files of a source as its publisher reads them: believed only when they verify.

``timestamp.json`` names the snapshot, and that the version of every list of targets that readers
see. A list with the next version beside it waits for ``publish``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Signed, Snapshot, Targets, Timestamp

from eportal_core.errors import NotFound, StorageError
from eportal_core.source.layout import METADATA, TOP_ROLES
from eportal_core.storage import disk_errors, written_aside

log = logging.getLogger("eportal.source")

S = TypeVar("S", bound=Signed)
Delegator = Root | Targets


@dataclass
class Repository:
    """What a source says now, and what it will say.

    roots: from the one that is trusted to the newest, each signed by the one before it.
    published: versions of the lists that readers see, by role. lists: the newest ones, by role:
    ``targets``, then every product.
    """

    folder: Path
    roots: list[Metadata[Root]]
    timestamp: Metadata[Timestamp]
    snapshot: Metadata[Snapshot]
    published: Mapping[str, int]
    lists: dict[str, Metadata[Targets]]

    @property
    def root(self) -> Metadata[Root]:
        return self.roots[-1]

    @property
    def products(self) -> list[str]:
        return [role for role in self.lists if role != Targets.type]

    def waiting(self) -> list[str]:
        """Roles with changes that are not published."""
        return [
            role
            for role, metadata in self.lists.items()
            if metadata.signed.version != self.published.get(role)
        ]

    def metadata(self) -> dict[str, Metadata[Any]]:
        """The newest metadata of every role."""
        return {
            Root.type: self.root,
            Timestamp.type: self.timestamp,
            Snapshot.type: self.snapshot,
            **self.lists,
        }

    def delegators(self, role: str) -> Sequence[Delegator]:
        """Who says which keys ``role`` has, the newest last."""
        if role in self.products:
            return [self.lists[Targets.type].signed]
        return [root.signed for root in self.roots]

    def was_published(self, role: str) -> Metadata[Targets]:
        """The list of ``role`` that readers see."""
        return _read(self.folder, role, self.published[role])


def metadata_file(folder: Path, role: str, version: int) -> Path:
    """Where the metadata of ``role`` is. Source: TUF specification, 6.2, consistent snapshots."""
    return folder / METADATA / metadata_name(role, version)


def metadata_name(role: str, version: int) -> str:
    return f"{role}.json" if role == Timestamp.type else f"{version}.{role}.json"


def load(folder: Path, trusted: bytes | None = None) -> Repository:
    """Read and verify the source in ``folder``; ``trusted`` is a root, the first unless given.

    Raises:
        NotFound: there is no source.
        StorageError: something of it is missing, damaged or signed by others.
    """
    if not metadata_file(folder, Timestamp.type, 0).is_file():
        raise NotFound(f"{folder} is not a source: make one with kc.eportal source init.")
    with disk_errors(folder):
        roots = _roots(folder, trusted)
        signed = [root.signed for root in roots]
        timestamp: Metadata[Timestamp] = _verified(folder, Timestamp.type, 0, signed)
        version = timestamp.signed.snapshot_meta.version
        snapshot: Metadata[Snapshot] = _verified(folder, Snapshot.type, version, signed)
        published = {
            name.removesuffix(".json"): meta.version for name, meta in snapshot.signed.meta.items()
        }
        targets = _list(folder, Targets.type, published, signed)
        delegations = targets.signed.delegations
        products = delegations.roles if delegations and delegations.roles else {}
        lists = {role: _list(folder, role, published, [targets.signed]) for role in products}
    return Repository(
        folder, roots, timestamp, snapshot, published, {Targets.type: targets, **lists}
    )


def write_metadata(path: Path, data: bytes) -> None:
    """Write ``path`` durably for everybody to read; a crash leaves it as it was or as it will be.

    Raises:
        StorageError: the disk refused.
    """
    with (
        disk_errors(path),
        written_aside(path, path.with_name(f"{path.name}.new")) as file,
    ):
        os.fchmod(file.fileno(), 0o644)
        file.write(data)


def is_signed(role: str, metadata: Metadata[Any], delegator: Delegator) -> bool:
    """Whether ``metadata`` has the signatures that ``delegator`` asks of ``role``."""
    result = delegator.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
    return result.verified


def _roots(folder: Path, trusted: bytes | None) -> list[Metadata[Root]]:
    first = Metadata[Root].from_bytes(trusted) if trusted else _read(folder, Root.type, 1)
    roots = [first]
    while True:
        version = roots[-1].signed.version + 1
        if not metadata_file(folder, Root.type, version).is_file():
            return roots
        following: Metadata[Root] = _read(folder, Root.type, version)
        if not all(is_signed(Root.type, following, by.signed) for by in (roots[-1], following)):
            raise _not_ours(folder, Root.type, version)
        roots.append(following)


def _list(
    folder: Path, role: str, published: Mapping[str, int], delegators: Sequence[Delegator]
) -> Metadata[Targets]:
    """The list that waits to be published, or the one that readers see."""
    version = published.get(role, 0)
    if metadata_file(folder, role, version + 1).is_file():
        waiting: Metadata[Targets] = _read(folder, role, version + 1)
        if _any_signed(role, waiting, delegators):
            return waiting
        # Whoever could write it could as well have removed it.
        log.warning("%s is left out: %s", role, _not_ours(folder, role, version + 1))
    if not version:
        raise StorageError(f"{metadata_file(folder, role, 1)} is missing.")
    return _verified(folder, role, version, delegators)


def _verified(
    folder: Path, role: str, version: int, delegators: Iterable[Delegator]
) -> Metadata[Any]:
    metadata: Metadata[Any] = _read(folder, role, version)
    if not _any_signed(role, metadata, delegators):
        raise _not_ours(folder, role, version)
    return metadata


def _any_signed(role: str, metadata: Metadata[Any], delegators: Iterable[Delegator]) -> bool:
    return any(is_signed(role, metadata, delegator) for delegator in delegators)


def _read(folder: Path, role: str, version: int) -> Metadata[Any]:
    path = metadata_file(folder, role, version)
    try:
        metadata = Metadata[Any].from_bytes(path.read_bytes())
    except FileNotFoundError:
        raise StorageError(f"{path} is missing: the source is not whole.") from None
    except (RepositoryError, ValueError, KeyError) as error:
        raise StorageError(f"{path} is damaged: {error}.") from error
    if role != Timestamp.type and metadata.signed.version != version:
        raise StorageError(f"{path} has version {metadata.signed.version}: somebody changed it.")
    if metadata.signed.type != (role if role in TOP_ROLES else Targets.type):
        raise StorageError(f"{path} is not the metadata of {role}.")
    return metadata


def _not_ours(folder: Path, role: str, version: int) -> StorageError:
    return StorageError(
        f"{metadata_file(folder, role, version)} is not signed with the keys of the source: "
        f"somebody changed it."
    )
