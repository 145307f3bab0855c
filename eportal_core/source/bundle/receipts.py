"""Receipts: what a portal has, written there and carried back to where bundles are made.

A receipt is not signed. One that lies makes the next bundle larger or smaller than it need be, and
changes nothing of what the other side believes. The checksum finds damage.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec

from eportal_core.counting import counted
from eportal_core.errors import InvalidValue, NoSource, NotFound, PortalError
from eportal_core.models import Patchset
from eportal_core.patchsets.manifest import Sha256, ShortText
from eportal_core.portal import Portal
from eportal_core.source.bundle.carried import all_carried, files_of, id_of
from eportal_core.source.bundle.contents import CarriedId
from eportal_core.source.bundle.stock import amount, listed
from eportal_core.source.held import folder_of_trusted, held
from eportal_core.source.layout import Offer
from eportal_core.storage import disk_errors, sync_folder
from eportal_core.types import Carried, CarriedFile

log = logging.getLogger("eportal.bundle")

FORMAT = 1
#: A longer file is not read, bytes.
MAX_BYTES = 64 * 1024 * 1024

#: Of a root, or empty.
Fingerprint = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$")]
Instance = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{1,64}$")]


class Held(msgspec.Struct, frozen=True):
    """A patchset that is there. sha256: of its archive."""

    product: ShortText
    name: ShortText
    sha256: Sha256


class Receipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a portal has.

    source: fingerprint of the root that it trusts; empty when it trusts none, and has other
    products. metadata: version by role, as it verified it last; empty before the first time.
    carried: checksums, ``sha256:<hex>`` or of another algorithm, by path, of what it has of
    products that are not made of archives, by product and name. made: when, ISO 8601, UTC.
    instance: the portal. checksum: sha256 of the same receipt with an empty one.
    """

    format: int
    source: Fingerprint
    metadata: dict[ShortText, int]
    patchsets: list[Held]
    carried: dict[CarriedId, dict[ShortText, ShortText]]
    made: ShortText
    instance: Instance
    checksum: str = ""

    def encode(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self.summed()), indent=1) + b"\n"

    def summed(self) -> Receipt:
        """The same with its checksum."""
        plain = msgspec.json.encode(msgspec.structs.replace(self, checksum=""), order="sorted")
        return msgspec.structs.replace(self, checksum=hashlib.sha256(plain).hexdigest())

    def told(self, portal: Portal) -> str:
        """What is there, in words."""
        return listed(
            [
                counted(len(self.patchsets), "patchset"),
                *(
                    amount(len(self.carried.get(id_of(each), ())), each)
                    for each in all_carried(portal)
                ),
            ]
        )

    def lacks(self, offers: Iterable[Offer]) -> list[Offer]:
        """Those of ``offers`` that are not there."""
        there = {(each.product, each.name, each.sha256) for each in self.patchsets}
        return [offer for offer in offers if (offer.product, offer.name, offer.sha256) not in there]

    def lacks_of(self, carried: Carried, files: Iterable[CarriedFile]) -> list[CarriedFile]:
        """Those of ``files`` that are not there, or have other bytes there."""
        there = self.carried.get(id_of(carried), {})
        return [file for file in files if there.get(file.path) != ":".join(file.checksum)]


def make(portal: Portal) -> Receipt:
    """What this portal has now.

    Raises:
        NoSource: no patch source is trusted yet, and nothing else can be carried.
    """
    carried = {id_of(each): _there(each) for each in all_carried(portal)}
    versions: dict[str, int] = {}
    try:
        folder = folder_of_trusted(portal.config)
        source = folder.name
        versions = held(folder).versions
    except NoSource:
        if not carried:
            raise
        source = ""
    except NotFound:
        pass
    rows = Patchset.select().order_by(Patchset.product, Patchset.position, Patchset.name)
    return Receipt(
        format=FORMAT,
        source=source,
        metadata=versions,
        patchsets=[Held(row.product, row.name, row.sha256) for row in rows],
        carried=carried,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        instance=instance(portal),
    )


def _there(carried: Carried) -> dict[str, str]:
    """Checksums by path; what is damaged is brought again."""
    try:
        return {
            file.path: ":".join(file.checksum)
            for file in files_of(carried)
            if not file.always and _is_sized(file.source, file.size)
        }
    except PortalError as error:
        log.warning("The receipt has nothing of %s: %s", id_of(carried), error)
        return {}


def _is_sized(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def write(path: Path, receipt: Receipt) -> None:
    """Write ``path`` durably; it may be on a disk that others have prepared.

    No link is followed: what one leads to would be overwritten.

    Raises:
        StorageError: the disk refused.
    """
    aside = path.with_name(f"{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with disk_errors(path):
        aside.unlink(missing_ok=True)
        with os.fdopen(os.open(aside, flags, 0o644), "wb") as file:
            file.write(receipt.encode())
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
        sync_folder(path.parent)


def instance(portal: Portal) -> str:
    """The random name of this installation."""
    with disk_errors(portal.config.data_dir):
        return (portal.config.data_dir / "instance-id").read_text().strip()


def read(path: Path) -> Receipt:
    """A receipt that came from elsewhere, checked.

    Raises:
        InvalidValue: it cannot be read, or is no receipt, or was damaged on its way.
    """
    try:
        # Opening a pipe would wait for somebody to write into it.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            data = file.read(MAX_BYTES + 1) or b""
    except OSError as error:
        raise InvalidValue(f"{path} cannot be read: {error.strerror}.") from None
    if len(data) > MAX_BYTES:
        raise InvalidValue(f"{path} is no receipt: it is longer than {MAX_BYTES} bytes.")
    try:
        receipt = msgspec.json.decode(data, type=Receipt)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidValue(f"{path} is no receipt: {error}.") from None
    if receipt.format != FORMAT:
        raise InvalidValue(f"{path} is a receipt of another version: {receipt.format}.")
    if receipt.summed() != receipt:
        raise InvalidValue(
            f"{path} was damaged on its way: its checksum is wrong. Copy it again, or make another "
            f"with kc.eportal bundle receipt."
        )
    return receipt
