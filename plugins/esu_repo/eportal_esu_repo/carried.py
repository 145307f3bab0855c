"""What bundles carry of the mirror: each repository as clients see it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from eportal_core import Carried, CarriedFile, Portal
from eportal_esu_repo import PRODUCT
from eportal_esu_repo.metadata import Remote
from eportal_esu_repo.repository import REPOMD, SIGNATURE, Repository, mirror
from eportal_esu_repo.update import take


def carried(portal: Portal) -> Sequence[Carried]:
    """One for each repository.

    Raises:
        InvalidValue: the settings cannot be used.
    """
    return [
        Carried(
            PRODUCT.name, each.name, "packages", partial(_files, each), partial(take, portal, each)
        )
        for each in mirror(portal)
    ]


def _files(repository: Repository) -> list[CarriedFile]:
    """All metadata, and every package that it names; none when nothing was ever mirrored.

    Raises:
        UpstreamError: the metadata is damaged.
    """
    current = repository.current()
    if current is None:
        return []
    repomd = current.repomd
    packages = current.packages(repomd).values()
    return [
        *(_signed(current.folder / name) for name in (REPOMD, SIGNATURE)),
        *(_file(each, current.place(each), always=True) for each in repomd.files),
        *(_file(each, repository.folder / each.href) for each in packages),
    ]


def _file(remote: Remote, place: Path, *, always: bool = False) -> CarriedFile:
    return CarriedFile(remote.href, place, remote.size, remote.checksum, always)


def _signed(path: Path) -> CarriedFile:
    data = path.read_bytes()
    checksum = "sha256", hashlib.sha256(data).hexdigest()
    return CarriedFile(f"repodata/{path.name}", path, len(data), checksum, always=True)
