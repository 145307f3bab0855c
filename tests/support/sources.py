"""Patch sources of all our products, made and signed by the real publisher; and spoiled ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner, Signer
from tuf.api.exceptions import DownloadHTTPError
from tuf.api.metadata import Metadata, MetaFile, Root, Signed
from tuf.api.serialization.json import JSONSerializer
from tuf.ngclient import Updater, UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface

from eportal_core.patchsets.archive import Limits
from eportal_core.patchsets.pack import pack
from eportal_core.patchsets.spec import PatchsetSpec
from eportal_core.source import adding, publishing
from eportal_core.source.creating import Wanted, create
from eportal_core.source.keys import KeyFolder
from eportal_core.source.layout import METADATA, TARGETS, Offer, offers
from eportal_core.source.publisher import Publisher, open_publisher
from eportal_core.source.repository import load, metadata_file
from eportal_core.source.status import fingerprint
from eportal_core.testing import content
from eportal_dbcare import plugin as dbcare
from eportal_kernelcare import plugin as kernelcare
from eportal_libcare import plugin as libcare
from eportal_qemucare import plugin as qemucare
from tests.support.patches import kernel_id

SPECS: Mapping[str, PatchsetSpec] = {
    plugin.spec.product.name: plugin.spec for plugin in (kernelcare, libcare, qemucare, dbcare)
}
LIMITS = Limits(files=10_000, bytes=1_000_000_000, ratio=200)
#: A target that every product knows.
TARGET = kernel_id("web")


def archive(
    folder: Path,
    product: str,
    name: str,
    levels: Mapping[str, int] | None = None,
    *,
    size: int = 0,
    suffix: str = ".tar.bz2",
    **about: Any,
) -> Path:
    """An archive made by ``pack``; ``about`` is ``released``, ``channels``, ``distros``, ...

    levels: level by target; the first of ``TARGET`` unless given. size: bytes of a further file.
    """
    spec, path = SPECS[product], folder / f"{name}{suffix}"
    files = content.layout(spec, levels or {TARGET: 1})
    if size:
        target, level = next(iter((levels or {TARGET: 1}).items()))
        files[f"{target}/{level}/large"] = (f"{name} {product}".encode() * size)[:size]
    directory = content.write(folder / f"{name}-{product}", files)
    pack(directory, path, spec, **about)
    shutil.rmtree(directory)
    return path


@dataclass(frozen=True)
class MadeSource:
    """A source in ``folder``, with its keys beside it; what is done to it is published at once."""

    folder: Path

    @property
    def keys(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.keys")

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.folder)

    @property
    def root(self) -> Path:
        """The first root metadata, by which the source is trusted."""
        return metadata_file(self.folder, Root.type, 1)

    def opened(self) -> AbstractContextManager[Publisher]:
        return open_publisher(self.folder, self.keys)

    def add(self, *archives: Path, state: str | None = None, publish: bool = True) -> None:
        with self.opened() as publisher:
            adding.add(publisher, SPECS, archives, LIMITS, state=state)
            if publish:
                publishing.publish(publisher)

    def offer(self, product: str, name: str, *levels: Mapping[str, int], **about: Any) -> None:
        """Make an archive, add it and publish; ``about`` as in ``archive``, and ``state``."""
        state = about.pop("state", None)
        work = self.folder.with_name(f"{self.folder.name}.work")
        work.mkdir(exist_ok=True)
        path = archive(work, product, name, *levels, **about)
        self.add(path, state=state)
        path.unlink()

    def set_state(self, state: str, *names: str) -> None:
        with self.opened() as publisher:
            publisher.set_state(names, state)
            publishing.publish(publisher)

    def remove(self, *names: str) -> None:
        with self.opened() as publisher:
            publisher.remove(names)
            publishing.publish(publisher)

    def publish(self, **days: int) -> None:
        with self.opened() as publisher:
            publishing.publish(publisher, days)

    def rotate(self, role: str) -> None:
        with self.opened() as publisher:
            publishing.rotate(publisher, role)

    def file(self, role: str) -> Path:
        """The newest metadata of ``role``."""
        metadata = load(self.folder).metadata()[role]
        return metadata_file(self.folder, role, metadata.signed.version)

    def offered(self, product: str, name: str) -> Offer:
        listed = offers(product, load(self.folder).lists[product].signed)
        (found,) = (offer for offer in listed if offer.name == name)
        return found

    def stored(self, product: str, name: str, kind: str = ".tar.*") -> Path:
        """The file of an archive, or with ``.meta.json`` of a manifest."""
        (path,) = (self.folder / TARGETS / product).glob(f"*.{name}{kind}")
        return path

    def saved(self) -> Path:
        """A copy of the folder as it is, for ``restore``."""
        copies = self.folder.with_name(f"{self.folder.name}.saved")
        copies.mkdir(exist_ok=True)
        copy = copies / str(len(list(copies.iterdir())))
        shutil.copytree(self.folder, copy)
        return copy

    def restore(self, copy: Path) -> None:
        """What the folder was, as an attacker puts it back."""
        shutil.rmtree(self.folder)
        shutil.copytree(copy, self.folder)

    def forge(
        self,
        role: str,
        change: Callable[[Any], None] = lambda signed: None,
        *,
        version: int | None = None,
        expires: timedelta | None = None,
        signers: Sequence[Signer] | None = None,
    ) -> None:
        """Sign ``role`` anew with a change, and snapshot and timestamp so that they name it.

        version: one more unless given. expires: from now on. signers: the true ones unless given.
        """
        repository = load(self.folder)
        metadata = repository.metadata()
        for each in dict.fromkeys((role, "snapshot", "timestamp")):
            if role in ("root", "timestamp") and each != role:
                continue
            forged = metadata[each]
            if each == role:
                change(forged.signed)
                if expires is not None:
                    forged.signed.expires = _soon() + expires
            given = version if each == role else None
            forged.signed.version = given or forged.signed.version + 1
            delegator = repository.delegators(each)[-1]
            keyids = delegator.get_delegated_role(each).keyids
            true = KeyFolder(self.keys).signers(each, keyids)
            data = _signed(forged, signers if each == role and signers is not None else true)
            metadata_file(self.folder, each, forged.signed.version).write_bytes(data)
            meta = MetaFile.from_data(forged.signed.version, data, ["sha256"])
            if each == "snapshot":
                metadata["timestamp"].signed.snapshot_meta = meta
            elif each not in ("root", "timestamp"):
                metadata["snapshot"].signed.meta[f"{each}.json"] = meta


def make_source(
    folder: Path, products: Sequence[str] = tuple(SPECS), days: Mapping[str, int] | None = None
) -> MadeSource:
    """A new source with nothing in it."""
    source = MadeSource(folder)
    create(folder, source.keys, Wanted(products, days=days or {}))
    return source


def stranger() -> Signer:
    """A key that no role has."""
    return CryptoSigner.generate_ed25519()


def spoil(path: Path, at: int = -1) -> None:
    """Change one byte of a file; its size and times stay."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def seen(source: MadeSource, cache: Path) -> dict[str, list[Offer]]:
    """What a reader sees who knows the first root, by product; ``cache`` is his own folder.

    Raises:
        RepositoryError: what he reads does not verify.
    """
    cache.mkdir(exist_ok=True)
    updater = Updater(
        str(cache),
        f"{source.folder}/{METADATA}",
        fetcher=_FolderFetcher(),
        bootstrap=source.root.read_bytes(),
        config=UpdaterConfig(targets_max_length=50_000_000),
    )
    updater.refresh()
    found = {}
    targets = Metadata[Any].from_file(str(cache / "targets.json"))
    for product in targets.signed.delegations.roles:
        updater.get_targetinfo(f"{product}/none")
        metadata = Metadata[Any].from_file(str(cache / f"{product}.json"))
        found[product] = offers(product, metadata.signed)
    return found


class _FolderFetcher(FetcherInterface):
    def _fetch(self, url: str) -> Any:
        path = Path(url)
        if not path.is_file():
            raise DownloadHTTPError("There is no such file.", 404)
        return iter([path.read_bytes()])


def _signed(metadata: Metadata[Signed], signers: Sequence[Signer]) -> bytes:
    metadata.signatures.clear()
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata.to_bytes(JSONSerializer(compact=True))


def _soon() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
