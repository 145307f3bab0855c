"""A source that is open for its publisher: what it lists, and what its readers see of that.

Changes go into the next version of a product's list, signed with the product's key. They become
visible by ``eportal_core.source.publishing``.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tuf.api.metadata import TargetFile, Targets

from eportal_core.errors import NotFound, PortalError
from eportal_core.source.content import Content
from eportal_core.source.keys import KeyFolder, default_keys, is_unfinished, open_keys
from eportal_core.source.layout import METADATA, Offer, custom, offers
from eportal_core.source.repository import Repository, load, metadata_file, write_metadata
from eportal_core.source.signing import require, sign
from eportal_core.storage import disk_errors


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One publisher at a time; the kernel frees the lock when its holder dies."""
    with disk_errors(folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def open_publisher(folder: Path, keys_folder: Path | None = None) -> Iterator[Publisher]:
    """The source in ``folder``, locked; leftovers are swept before and after.

    Raises:
        NotFound: there is no source, or no folder of keys.
        InvalidValue: the keys are where others can read them.
        StorageError: the source is damaged, or changed by somebody else.
    """
    if not (folder / METADATA).is_dir():
        raise NotFound(f"{folder} is not a source: make one with kc.eportal source init.")
    with locked(folder), disk_errors(folder):
        keys = open_keys(keys_folder or default_keys(folder), folder)
        if is_unfinished(keys.path, folder):
            keys.finish()
        publisher = Publisher(folder, keys, load(folder, keys.pinned()))
        publisher.sweep()
        try:
            yield publisher
        except BaseException:
            # By what was written, not by what was about to be.
            with suppress(PortalError):
                Publisher(folder, keys, load(folder, keys.pinned())).sweep()
            raise
        publisher.sweep()


@dataclass(frozen=True)
class Publisher:
    """Use it inside ``open_publisher``. Each method that changes something can raise
    NotFound for keys that are missing, and StorageError; then nothing that readers see changed.
    """

    folder: Path
    keys: KeyFolder
    repository: Repository

    @property
    def content(self) -> Content:
        return Content(self.folder)

    def offers(self, product: str) -> list[Offer]:
        """What is listed of ``product``, published or not."""
        return offers(product, self.repository.lists[product].signed)

    def find(self, names: Sequence[str]) -> list[Offer]:
        """The offers of these names, in their order.

        Raises:
            NotFound: the source does not list one of them.
        """
        listed = {
            offer.name: offer
            for product in self.repository.products
            for offer in self.offers(product)
        }
        if missing := [name for name in names if name not in listed]:
            raise NotFound(f"The source does not list {missing[0]}.")
        return [listed[name] for name in dict.fromkeys(names)]

    def set_state(self, names: Sequence[str], state: str) -> None:
        """Let the source say ``state`` of these patchsets.

        Raises:
            NotFound: the source does not list one of them.
        """
        self.put([replace(offer, state=state) for offer in self.find(names)])

    def put(self, changed: Sequence[Offer]) -> None:
        """List these offers in place of what was listed under their names."""

        def change(targets: Targets, offer: Offer) -> None:
            for path, size, sha256 in (
                (offer.archive, offer.size, offer.sha256),
                (offer.meta, offer.meta_size, offer.meta_sha256),
            ):
                unknown = {"custom": custom(offer)}
                targets.targets[path] = TargetFile(size, {"sha256": sha256}, path, unknown)

        self._edit(changed, change)

    def remove(self, names: Sequence[str]) -> None:
        """Take these patchsets off the list. Files that readers may know stay, others go.

        Raises:
            NotFound: the source does not list one of them.
        """
        found = self.find(names)
        products = {offer.product for offer in found}
        self.require(*products)
        seen = {product: self._seen(product) for product in products}
        fresh = {(each.product, each.name) for each in found if each.name not in seen[each.product]}
        self.content.forget(fresh)

        def change(targets: Targets, offer: Offer) -> None:
            del targets.targets[offer.archive], targets.targets[offer.meta]

        self._edit(found, change)

    def prune(self, before: float, *, dry_run: bool = False) -> list[str]:
        """Remove the files of patchsets that readers have not seen since ``before``.

        before: seconds since 1970, UTC. dry_run: only tell. Returns the names of the patchsets.

        Raises:
            ArchiveError: a manifest is damaged.
        """
        going = []
        for product in self.repository.products:
            known = {offer.name for offer in self.offers(product)} | self._seen(product)
            for name, files in sorted(self.content.stored(product).items()):
                if name not in known and max(path.stat().st_mtime for path in files) < before:
                    going.append((product, name))
        if not dry_run:
            self.content.forget(going)
        return [name for _, name in going]

    def require(self, *roles: str) -> None:
        """Refuse unless all of ``roles`` can be signed.

        Raises:
            NotFound: keys are missing.
        """
        for role in roles:
            require(self.keys, role, self.repository.delegators(role)[-1])

    def stage(self, role: str) -> None:
        """Sign the list of ``role`` as the version after the one that readers see."""
        repository = self.repository
        version = repository.published.get(role, 0) + 1
        delegators = repository.delegators(role)
        data = sign(self.keys, role, repository.lists[role], version, delegators)
        write_metadata(metadata_file(self.folder, role, version), data)

    def sweep(self) -> None:
        """Remove the files of patchsets that came or went, and are not listed."""
        products = self.repository.products
        self.content.sweep(lambda: [each for product in products for each in self.offers(product)])

    def _seen(self, product: str) -> set[str]:
        """The names of the patchsets that readers see."""
        if product not in self.repository.published:
            return set()
        published = self.repository.was_published(product).signed
        return {offer.name for offer in offers(product, published)}

    def _edit(self, changed: Sequence[Offer], change: Callable[[Targets, Offer], None]) -> None:
        self.require(*{offer.product for offer in changed})
        for product in dict.fromkeys(offer.product for offer in changed):
            targets = self.repository.lists[product].signed
            before = dict(targets.targets)
            for offer in changed:
                if offer.product == product:
                    change(targets, offer)
            if targets.targets != before:
                self.stage(product)
