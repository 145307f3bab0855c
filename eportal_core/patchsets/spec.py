"""What differs from one patchset product to the next, as data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from eportal_core.errors import ArchiveError
from eportal_core.types import Product

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from eportal_core.patchsets.store import PatchsetStore
    from eportal_core.portal import Portal

#: A SHA-1 in hex, as kernel ids are.
HEX40 = r"[0-9a-f]{40}"
#: The note of an ELF file that names it, in hex: SHA-1 mostly, but linkers know other ones.
BUILD_ID = r"([0-9a-f]{2}){8,32}"
#: Names that are safe as one path segment, whatever the product allows beyond that.
SAFE_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,199}")


class AgentRoutes(Protocol):
    """Makes a product's agent routes from the portal and the product's store."""

    def __call__(self, portal: Portal, store: PatchsetStore) -> Sequence[BaseRoute]: ...


def no_routes(portal: Portal, store: PatchsetStore) -> Sequence[BaseRoute]:
    """Nothing but what every patchset product has."""
    return []


@dataclass(frozen=True)
class PatchsetSpec:
    """A product made of patchset archives.

    archive_name: regular expression that a patchset's name matches in full; see ``order``.
    tree: folder below the patches directory that holds ``<target>/<level>/<file>``.
    target: regular expression that a target matches in full.
    agent_path: below it agents find ``<target>/latest`` and ``<target>/<level>/<file>``;
        ``/<command>`` unless given. Those of the check-in's product are at the root, ``""``.
    userspace: targets are build-ids of ELF files, and agents get all of a target at once, as the
        bundle ``/userspace/<any>/<build-id>/kpatch.tgz``.
    public_files: names of files that tell what a patch is and hold none of it; vulnerability
        scanners fetch them, so anybody may.
    agent_routes: further routes by which agents ask for this product.
    legacy_options: ``kc.eportal --deploy`` and ``--unroll`` mean this product; one product has it.
    """

    product: Product
    archive_name: str
    tree: str
    target: str = HEX40
    agent_path: str | None = None
    userspace: bool = False
    public_files: frozenset[str] = frozenset()
    agent_routes: AgentRoutes = no_routes
    legacy_options: bool = False

    def __post_init__(self) -> None:
        for name, pattern in (("archive_name", self.archive_name), ("target", self.target)):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(
                    f"{name} of {self.product.title} is no regular expression: {error}"
                ) from None
        if self.product.checkin and self.path:
            raise ValueError(
                f"{self.product.title} is the product of the check-in, whose targets are at the "
                f"root of the portal: leave out agent_path {self.agent_path!r}"
            )

    @property
    def path(self) -> str:
        """Where agents find levels: ``agent_path``, or what stands for it."""
        if self.agent_path is not None:
            return self.agent_path
        return "" if self.product.checkin else f"/{self.product.command}"

    def check_name(self, name: str) -> str:
        """``name``, if it is a patchset name of this product.

        Raises:
            ArchiveError: it is not.
        """
        if not (SAFE_SEGMENT.fullmatch(name) and re.fullmatch(self.archive_name, name)):
            raise ArchiveError(f"{name!r} is not a name of a {self.product.title} patchset.")
        return name

    def is_target(self, target: str) -> bool:
        return bool(SAFE_SEGMENT.fullmatch(target) and re.fullmatch(self.target, target))

    def order(self, name: str) -> str:
        """A text that sorts patchset names by date, then number: ``20251119.0000000003``.

        Other names stand for themselves, with numbers as numbers: ``SW-9`` is older than ``SW-10``.

        Source: names carry ``YYYYMMDD``, older ones ``DDMMYYYY`` (docs/archives.md). In the old
        form the fifth and sixth digit are the century, which is no month.
        """
        match = re.search(r"(\d{8})_(\d+)", name)
        if match is None:
            return f"{re.sub(r'[0-9]+', _numbered, name)} {name}"
        date, number = match.groups()
        if not "01" <= date[4:6] <= "12":
            date = date[4:] + date[2:4] + date[:2]
        return f"{date}.{int(number):010d}"


def _numbered(digits: re.Match[str]) -> str:
    """A text that sorts as the number does: how long it is, then itself."""
    number = digits[0].lstrip("0")
    return f"{len(number):03d}{number}"
