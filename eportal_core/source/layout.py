"""What both sides of a patch source agree on: its files, its roles, and what it says of a patchset.

A source is a TUF repository with consistent snapshots (The Update Framework specification 1.0)::

    metadata/   N.root.json  timestamp.json  N.snapshot.json  N.targets.json  N.<product>.json
    targets/<product>/<sha256>.<name>.tar.bz2         the archive, a TUF target
    targets/<product>/<sha256>.<name>.meta.json       its manifest, a TUF target
    targets/<product>/files/<target>/<level>/<file>   proved by the manifest, no TUF target

The role ``targets`` delegates ``<product>/*`` to a role named as the product.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from eportal_core.errors import ArchiveError, UpstreamError
from eportal_core.models import AVAILABLE, BLOCKED, DISABLED
from eportal_core.patchsets.archive import patchset_name
from eportal_core.patchsets.description import META_SUFFIX
from eportal_core.patchsets.manifest import MANIFEST_MAX_BYTES, Channel, Sha256, ShortText, Size
from eportal_core.patchsets.spec import SAFE_SEGMENT
from eportal_core.patchsets.tar import shown

if TYPE_CHECKING:
    from tuf.api.metadata import TargetFile, Targets

#: What a source may say: disabled is shown, and never enabled automatically; blocked is taken out
#: of every feed at once, and not to be enabled.
STATES = (AVAILABLE, DISABLED, BLOCKED)

METADATA = "metadata"
TARGETS = "targets"
#: Roles that every source has; a product has none of these names.
TOP_ROLES = ("root", "targets", "snapshot", "timestamp")

#: What a product may be called here: it names a role, its metadata file and a folder.
PRODUCT_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")

State = Annotated[str, msgspec.Meta(pattern=rf"^({'|'.join(STATES)})$")]


@dataclass(frozen=True)
class Offer:
    """A patchset as a source lists it.

    archive, meta: TUF target paths. size, sha256: of the archive, bytes and hex.
    meta_size, meta_sha256: of the manifest. released: ISO 8601 date or time, UTC, or empty.
    state: one of ``STATES``.
    """

    product: str
    name: str
    archive: str
    size: int
    sha256: str
    meta: str
    meta_size: int
    meta_sha256: str
    released: str
    channels: tuple[str, ...]
    distros: tuple[str, ...]
    state: str

    @property
    def archive_name(self) -> str:
        """File name of the archive, as ``arch/`` has it."""
        return self.archive.rpartition("/")[2]


class _Custom(msgspec.Struct, frozen=True):
    """``custom`` of both targets of an offer; members that are not known here are let be."""

    product: ShortText
    name: ShortText
    released: ShortText
    channels: tuple[Channel, ...]
    distros: tuple[ShortText, ...]
    state: State


class _Target(msgspec.Struct, frozen=True):
    """A TUF target, as far as it is looked at."""

    length: Size
    sha256: Sha256
    custom: _Custom


def offers(product: str, targets: Targets) -> list[Offer]:
    """What the delegated role of ``product`` lists, in the order of the names.

    Raises:
        UpstreamError: something in it is not in the form of this module, or another product's.
    """
    archives: dict[str, tuple[str, _Target]] = {}
    metas: dict[str, tuple[str, _Target]] = {}
    for path, file in targets.targets.items():
        target = _checked(product, path, file)
        name = target.custom.name
        named = archives if path != meta_path(product, name) else metas
        if named is archives and _patchset(path) != name:
            raise UpstreamError(f"The source lists {shown(path)} under the name {shown(name)}.")
        if name in named:
            raise UpstreamError(f"The source lists two archives of {name} of {product}.")
        named[name] = (path, target)
    for name in archives.keys() ^ metas.keys():
        raise UpstreamError(
            f"The source lists {name} of {product} without its archive or its manifest."
        )
    return [_offer(product, *archives[name], *metas[name]) for name in sorted(archives)]


def custom(offer: Offer) -> dict[str, Any]:
    """``custom`` of both targets of ``offer``."""
    return {
        "product": offer.product,
        "name": offer.name,
        "released": offer.released,
        "channels": list(offer.channels),
        "distros": list(offer.distros),
        "state": offer.state,
    }


def archive_path(product: str, file_name: str) -> str:
    """TUF target path of an archive: ``<product>/<name>.tar.bz2``."""
    return f"{product}/{file_name}"


def meta_path(product: str, name: str) -> str:
    """TUF target path of a manifest: ``<product>/<name>.meta.json``."""
    return f"{product}/{name}{META_SUFFIX}"


def file_path(product: str, target: str, level: int, name: str) -> str:
    """Where a patch file is, below ``targets/``."""
    return f"{product}/files/{target}/{level}/{name}"


def stored_path(path: str, sha256: str) -> str:
    """Where the TUF target ``path`` is, below ``targets/``: the hash stands before its name."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{sha256}.{name}"


def is_product_name(name: str) -> bool:
    """Whether a source can have a product of this name."""
    return bool(PRODUCT_NAME.fullmatch(name)) and name not in TOP_ROLES


def _checked(product: str, path: str, file: TargetFile) -> _Target:
    folder, _, file_name = path.partition("/")
    if folder != product or not SAFE_SEGMENT.fullmatch(file_name):
        raise UpstreamError(f"The source lists {shown(path)} for {product}, which has no such.")
    try:
        target = msgspec.convert(
            {
                "length": file.length,
                "sha256": file.hashes.get("sha256"),
                "custom": file.unrecognized_fields.get("custom"),
            },
            type=_Target,
        )
    except msgspec.ValidationError as error:
        raise UpstreamError(f"What the source says of {shown(path)} is wrong: {error}.") from None
    if target.custom.product != product:
        raise UpstreamError(
            f"The source lists {shown(path)} for {product}, but says that it is of the product "
            f"{shown(target.custom.product)}."
        )
    return target


def _patchset(path: str) -> str:
    """The patchset whose archive ``path`` is."""
    try:
        return patchset_name(Path(path))
    except ArchiveError as error:
        raise UpstreamError(f"The source lists {shown(path)}: {error}") from None


def _offer(product: str, archive: str, target: _Target, meta: str, described: _Target) -> Offer:
    if described.custom != target.custom:
        raise UpstreamError(f"The source says of {archive} other things than of its manifest.")
    if described.length > MANIFEST_MAX_BYTES:
        raise UpstreamError(f"The source lists {meta} with {described.length} bytes.")
    about = target.custom
    return Offer(
        product=product,
        name=about.name,
        archive=archive,
        size=target.length,
        sha256=target.sha256,
        meta=meta,
        meta_size=described.length,
        meta_sha256=described.sha256,
        released=about.released,
        channels=about.channels,
        distros=about.distros,
        state=about.state,
    )
