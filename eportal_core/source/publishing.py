"""Making changes visible, and giving roles new keys.

A new snapshot is written, then ``timestamp.json`` renamed into place: up to that rename readers
see what they saw before. Source: The Update Framework specification, 3 and 6.
"""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType

from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from eportal_core.errors import Conflict, NotFound
from eportal_core.source.keys import KeyFolder
from eportal_core.source.layout import METADATA, stored_path
from eportal_core.source.publisher import Publisher
from eportal_core.source.repository import (
    Repository,
    is_signed,
    metadata_file,
    write_metadata,
)
from eportal_core.source.signing import (
    RENEWED_BELOW,
    check_roles,
    left_of,
    set_days,
    sign,
    warning,
)

log = logging.getLogger("eportal.source")

#: So many versions of a list stay for readers who have begun to read an older snapshot.
KEPT_VERSIONS = 10
_NONE: Mapping[str, int] = MappingProxyType({})


def publish(publisher: Publisher, days: Mapping[str, int] = _NONE) -> list[str]:
    """Make what waits visible, and renew signatures that need it and whose key is here.

    days: for which roles are signed from now on. Returns the roles whose changes are visible now.

    Raises:
        InvalidValue: a role or number that cannot be.
        NotFound: a key that is needed is not here.
        StorageError: the disk refused; readers see what they saw.
    """
    return _Publishing(publisher).publish(days)


def rotate(publisher: Publisher, role: str) -> None:
    """Give ``role`` new keys and publish what they sign; the old ones count no more.

    Raises:
        InvalidValue: there is no such role.
        Conflict: changes wait to be published.
        NotFound, StorageError: as from ``publish``.
    """
    _Publishing(publisher).rotate(role)


@dataclass(frozen=True)
class _Publishing:
    publisher: Publisher

    @property
    def keys(self) -> KeyFolder:
        return self.publisher.keys

    @property
    def repository(self) -> Repository:
        return self.publisher.repository

    def publish(self, days: Mapping[str, int]) -> list[str]:
        check_roles(days, self.repository.products)
        self.publisher.require(Snapshot.type, Timestamp.type, *days)
        metadata = self.repository.metadata()
        for role, number in days.items():
            set_days(role, metadata[role].signed, number)
        if self._is_due(Root.type, days):
            self._write_root(self.repository.root)
        waiting = self.repository.waiting()
        self._publish(days)
        self._pin()
        return waiting

    def rotate(self, role: str) -> None:
        check_roles([role], self.repository.products)
        if waiting := self.repository.waiting():
            raise Conflict(
                f"Changes of {', '.join(waiting)} wait: publish them first, then rotate keys."
            )
        helpers = {Root.type, Snapshot.type, Timestamp.type} - {role}
        if role in self.repository.products:
            self.publisher.require(Targets.type, *(helpers - {Root.type}))
            targets = self.repository.lists[Targets.type].signed
            self._exchange_keys(role, targets)
            # In this order: a list whose keys are not delegated to yet is left out.
            self.publisher.stage(role)
            self.publisher.stage(Targets.type)
            self._publish(())
        else:
            self.publisher.require(Root.type, *helpers)
            self._rotate_top(role)
        self._pin()

    def _rotate_top(self, role: str) -> None:
        old = self.repository.root.signed
        held = len(self.keys.signers(role, old.roles[role].keyids)) >= old.roles[role].threshold
        root: Metadata[Root] = Metadata(copy.deepcopy(old))
        self._exchange_keys(role, root.signed)
        if role == Root.type:
            self._write_root(root)
        elif held:
            # Signed for the old root and the new one, whichever a reader has.
            self.repository.roots.append(root)
            self._publish([role])
            self._write_root(root)
        else:
            self._write_root(root)
            self._publish([role])

    def _exchange_keys(self, role: str, delegator: Root | Targets) -> None:
        entry = delegator.get_delegated_role(role)
        old = list(entry.keyids)
        for key in self.keys.make(role, entry.threshold):
            delegator.add_key(key, role)
        for keyid in old:
            delegator.revoke_key(keyid, role)

    def _publish(self, again: Collection[str]) -> None:
        """Sign ``again`` and what is due, then the snapshot if need be, then the timestamp."""
        repository = self.repository
        for role in repository.lists:
            if self._is_due(role, again):
                self.publisher.stage(role)
        roots = repository.delegators(Timestamp.type)
        snapshot, timestamp = repository.snapshot, repository.timestamp
        waiting = repository.waiting()
        for role in waiting:
            self._date_withdrawn(role)
            version = repository.lists[role].signed.version
            data = metadata_file(self.repository.folder, role, version).read_bytes()
            snapshot.signed.meta[f"{role}.json"] = MetaFile.from_data(version, data, ["sha256"])
        if waiting or self._is_due(Snapshot.type, again):
            version = timestamp.signed.snapshot_meta.version + 1
            data = sign(self.keys, Snapshot.type, snapshot, version, roots)
            write_metadata(metadata_file(self.repository.folder, Snapshot.type, version), data)
            timestamp.signed.snapshot_meta = MetaFile.from_data(version, data, ["sha256"])
        data = sign(self.keys, Timestamp.type, timestamp, timestamp.signed.version + 1, roots)
        write_metadata(metadata_file(self.repository.folder, Timestamp.type, 0), data)
        repository.published = {
            role: metadata.signed.version for role, metadata in repository.lists.items()
        }
        self._prune()

    def _date_withdrawn(self, role: str) -> None:
        """Let the files of patchsets that are no longer listed tell since when, for ``prune``."""
        repository = self.repository
        if role not in repository.published:
            return
        before = repository.was_published(role).signed.targets
        for path in before.keys() - repository.lists[role].signed.targets.keys():
            stored = stored_path(path, before[path].hashes["sha256"])
            with suppress(FileNotFoundError):
                os.utime(self.publisher.content.targets / stored)

    def _is_due(self, role: str, again: Collection[str]) -> bool:
        """Whether ``role`` is to be signed again now."""
        if role in again:
            return True
        metadata = self.repository.metadata()[role]
        delegator = self.repository.delegators(role)[-1]
        valid = is_signed(role, metadata, delegator)
        if valid and left_of(role, metadata.signed) >= RENEWED_BELOW:
            return False
        try:
            self.publisher.require(role)
        except NotFound as error:
            if not valid:
                raise
            if trouble := warning(role, metadata.signed):
                log.warning(
                    "The signature of %s %s, and it cannot be renewed: %s", role, trouble, error
                )
            return False
        return True

    def _write_root(self, root: Metadata[Root]) -> None:
        if root not in self.repository.roots:
            self.repository.roots.append(root)
        version = root.signed.version + 1
        data = sign(self.keys, Root.type, root, version, self.repository.delegators(Root.type))
        write_metadata(metadata_file(self.repository.folder, Root.type, version), data)

    def _pin(self) -> None:
        path = metadata_file(self.repository.folder, Root.type, self.repository.root.signed.version)
        self.keys.pin(path.read_bytes())

    def _prune(self) -> None:
        """Remove lists and snapshots that nobody reads any more; roots stay for ever."""
        newest = {
            **self.repository.published,
            Snapshot.type: self.repository.snapshot.signed.version,
        }
        for path in (self.repository.folder / METADATA).iterdir():
            version, _, rest = path.name.partition(".")
            role = rest.removesuffix(".json")
            if not version.isdigit() or role not in newest:
                continue
            if int(version) <= newest[role] - KEPT_VERSIONS:
                path.unlink()
