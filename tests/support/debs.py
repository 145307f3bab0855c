"""A signed repository of Debian packages, made with the tools that real ones are made with."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from tests.support.rpms import Signer

_CRON = "/etc/cron.d/kcare-cron"
_CONFIG = "/etc/sysconfig/kcare/kcare.conf"


def make_deb(folder: Path, version: str) -> Path:
    """A package ``kernelcare`` with a program, a configuration file and a cron table."""
    tree = folder / f"kernelcare-{version}"
    for name, text in {
        "DEBIAN/control": f"Package: kernelcare\nVersion: {version}\nArchitecture: all\n"
        "Maintainer: Tests <tests@example.com>\nDescription: stands for the agent\n",
        "DEBIAN/conffiles": f"{_CONFIG}\n",
        "usr/bin/kcarectl": f"#!/bin/sh\necho {version}\n",
        _CONFIG[1:]: "AUTO_UPDATE=True\nPATCH_SERVER=http://patches.example.com/\n",
        _CRON[1:]: "# updates\n15 */4 * * * root /usr/bin/kcarectl --auto-update\n",
    }.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tree / "usr/bin/kcarectl").chmod(0o755)
    package = folder / f"kernelcare_{version}_all.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", tree, package],
        check=True,
        capture_output=True,
    )
    return package


def publish(root: Path, packages: list[Path], signer: Signer, *, by_hash: bool) -> None:
    """Make ``root`` a repository with suite ``stable`` and component ``main``.

    by_hash: clients may ask for indexes by their hashes, as in most repositories today.
    """
    pool = root / "pool"
    pool.mkdir(parents=True, exist_ok=True)
    for package in packages:
        (pool / package.name).write_bytes(package.read_bytes())
    folder = root / "dists/stable/main/binary-amd64"
    folder.mkdir(parents=True, exist_ok=True)
    listing = _ftparchive(root, "packages", "pool")
    (folder / "Packages").write_bytes(listing)
    release = _ftparchive(
        root,
        "-o=APT::FTPArchive::Release::Suite=stable",
        "-o=APT::FTPArchive::Release::Codename=stable",
        "-o=APT::FTPArchive::Release::Components=main",
        "-o=APT::FTPArchive::Release::Architectures=amd64",
        f"-o=APT::FTPArchive::Release::Acquire-By-Hash={'yes' if by_hash else 'no'}",
        "release",
        "dists/stable",
    )
    if by_hash:
        for algorithm in ("SHA256", "SHA512"):
            digest = hashlib.new(algorithm, listing).hexdigest()
            place = folder / "by-hash" / algorithm / digest
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(listing)
    (root / "dists/stable/Release").write_bytes(release)
    inrelease = root / "dists/stable/InRelease"
    signer.gpg("--clearsign", "--output", inrelease, root / "dists/stable/Release")


def _ftparchive(root: Path, *arguments: str) -> bytes:
    return subprocess.run(
        ["apt-ftparchive", *arguments], cwd=root, check=True, capture_output=True
    ).stdout
