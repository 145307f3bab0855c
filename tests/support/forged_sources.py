"""Patch sources that somebody signs at will: with any key, version, expiry and content.

A publisher of ours would refuse to make most of them.
"""

from __future__ import annotations

import hashlib
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from eportal_core.patchsets.manifest import File, Manifest, Target

TOP = ("root", "timestamp", "snapshot", "targets")
#: What every patch file holds here.
PATCH = b"a patch\n" * 100


def in_days(days: float) -> datetime:
    return (datetime.now(UTC) + timedelta(days=days)).replace(microsecond=0)


class ForgedSource:
    """The keys and the metadata of a source; nothing is written before ``publish`` or ``write``.

    signed: role -> its metadata. keys: role -> who signs it.
    """

    def __init__(self, folder: Path, *products: str) -> None:
        self.folder = folder
        self.keys = {role: CryptoSigner.generate_ed25519() for role in (*TOP, *products)}
        root = Root(version=1, expires=in_days(300), consistent_snapshot=True)
        for role in TOP:
            root.add_key(self.keys[role].public_key, role)
        self.signed: dict[str, Signed] = {
            "root": root,
            "targets": Targets(version=1, expires=in_days(90)),
            "snapshot": Snapshot(version=1, expires=in_days(30)),
            "timestamp": Timestamp(version=1, expires=in_days(7)),
        }
        self.delegate(*products)
        for product in products:
            self.signed[product] = Targets(version=1, expires=in_days(90))
        self.write("root")

    @property
    def root(self) -> Path:
        """The first root, as a publisher hands it out."""
        return self.folder / "metadata" / "1.root.json"

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.root.read_bytes()).hexdigest()

    def delegate(self, *products: str) -> None:
        """Let the role of each product list the patchsets of that product."""
        keys = {self.keys[name].public_key.keyid: self.keys[name].public_key for name in products}
        roles = {
            name: DelegatedRole(
                name, [self.keys[name].public_key.keyid], 1, True, paths=[f"{name}/*"]
            )
            for name in products
        }
        self.of("targets").delegations = Delegations(keys, roles)

    def of(self, role: str) -> Any:
        """The metadata of a role, to be changed."""
        return self.signed[role]

    def add(self, product: str, name: str, content: bytes = b"", /, **custom: Any) -> None:
        """List a patchset in the role of ``product``; its archive is ``content``."""
        described = {
            "product": product,
            "name": name,
            "released": "2026-09-15",
            "channels": ["default"],
            "distros": [],
            "state": "available",
            **custom,
        }
        file = File(hashlib.sha256(PATCH).hexdigest(), len(PATCH))
        manifest = Manifest(1, product, name, {"0" * 40: Target(1, {"kpatch.bin": file})})
        files = {f"{name}.tar.bz2": content or name.encode() * 1000}
        files[f"{name}.meta.json"] = manifest.encode()
        for file_name, data in files.items():
            digest = hashlib.sha256(data).hexdigest()
            self.place(f"targets/{product}/{digest}.{file_name}", data)
            path = f"{product}/{file_name}"
            self.of(product).targets[path] = TargetFile(
                len(data), {"sha256": digest}, path, {"custom": described}
            )
        self.place(f"targets/{product}/files/{'0' * 40}/1/kpatch.bin", PATCH)

    def place(self, path: str, data: bytes) -> Path:
        full = self.folder / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(data)
        return full

    def publish(self, *changed: str) -> None:
        """Write everything, with new versions of the roles that changed, snapshot and timestamp."""
        for role in (*changed, "snapshot", "timestamp"):
            self.signed[role].version += 1
        listed = [role for role in self.signed if role not in ("root", "snapshot", "timestamp")]
        self.of("snapshot").meta = {
            f"{role}.json": MetaFile(self.signed[role].version) for role in listed
        }
        self.of("timestamp").snapshot_meta = MetaFile(self.signed["snapshot"].version)
        for role in (*listed, "snapshot", "timestamp"):
            self.write(role)

    def rotate(self, *roles: str) -> None:
        """Give roles new keys, by a root that the old and the new root keys sign."""
        old = self.keys["root"]
        for role in roles:
            self.of("root").revoke_key(self.keys[role].public_key.keyid, role)
            self.keys[role] = CryptoSigner.generate_ed25519()
            self.of("root").add_key(self.keys[role].public_key, role)
        self.of("root").version += 1
        self.write("root", old)

    def write(self, role: str, *signers: CryptoSigner) -> Path:
        """Sign the metadata of a role as it is, by its key and by ``signers``, and put it up."""
        signed = Metadata(self.signed[role])
        for signer in (self.keys[role], *signers):
            signed.sign(signer, append=True)
        number = "" if role == "timestamp" else f"{self.signed[role].version}."
        data = signed.to_bytes(JSONSerializer(compact=True))
        return self.place(f"metadata/{number}{role}.json", data)

    def copy_to(self, folder: Path) -> None:
        """The files as they are now."""
        shutil.copytree(self.folder, folder)

    def replace_by(self, folder: Path) -> None:
        """Serve the files of ``folder`` instead, at the same place."""
        shutil.rmtree(self.folder)
        shutil.copytree(folder, self.folder)
