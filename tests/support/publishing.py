"""A publisher of kernel and library patches: a real source, and the archives it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.sources import MadeSource, archive, make_source


@dataclass(frozen=True)
class Publisher:
    """Each method makes visible what it changes. archives: folder of what was packed."""

    source: MadeSource
    archives: Path

    @classmethod
    def start(cls, folder: Path) -> Publisher:
        publisher = cls(make_source(folder / "source", ("kernel", "libcare")), folder / "archives")
        publisher.archives.mkdir()
        return publisher

    @property
    def folder(self) -> Path:
        return self.source.folder

    @property
    def root(self) -> Path:
        """What readers pin."""
        return self.source.root

    @property
    def settings(self) -> dict[str, str]:
        """By which a portal reads this very directory."""
        return {
            "PATCH_SOURCE_URL": str(self.folder),
            "PATCH_SOURCE_ROOT": str(self.root),
        }

    def pack(self, name: str, levels: Mapping[str, int], **about: Any) -> Path:
        """An archive; names tell the product."""
        return pack(self.archives, name, levels, **about)

    def offer(self, name: str, levels: Mapping[str, int], **about: Any) -> None:
        """Pack a patchset and list it."""
        self.list(self.pack(name, levels, **about))

    def list(self, *archives: Path) -> None:
        self.source.add(*archives)

    def say(self, state: str, *names: str) -> None:
        """Let the source say this state of these patchsets."""
        self.source.set_state(state, *names)

    def remove(self, *names: str) -> None:
        self.source.remove(*names)

    def stored(self, name: str) -> Path:
        """The archive of a kernel patchset as the source serves it."""
        return self.source.stored("kernel", name)


def pack(folder: Path, name: str, levels: Mapping[str, int], **about: Any) -> Path:
    """An archive in ``folder``; the first letter of its name tells the product."""
    folder.mkdir(exist_ok=True)
    product = {"K": "kernel", "U": "libcare"}[name[0]]
    return archive(folder, product, name, levels, **about)
