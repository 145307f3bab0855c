"""What products that are not made of archives have carried, and what a bundle brings of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from eportal_core.errors import PluginError, PortalError
from eportal_core.plugins import claim
from eportal_core.portal import Portal
from eportal_core.source.bundle.parts import CARRIED, Parts
from eportal_core.storage import disk_errors
from eportal_core.types import Carried, CarriedFile

_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9._+~^@=-]{0,254}"
#: A product and a name, and a path of a file.
ID = rf"{_SEGMENT}(/{_SEGMENT}){{1,40}}"
_PATH = re.compile(rf"{_SEGMENT}(/{_SEGMENT}){{0,40}}")


class CarriedFolder:
    """What the parts of a bundle that are here have of one ``Carried``; nothing is proved.

    May be used by several threads. missing: paths that were asked for and are in none of them.
    """

    def __init__(self, parts: Parts, folder: str) -> None:
        self.missing: set[str] = set()
        self._parts = parts
        self._folder = folder

    def has(self, path: str) -> bool:
        """Whether there is something at ``path``; if not, the user is told where it is."""
        found = self._parts.has(f"{self._folder}/{path}")
        if not found:
            self.missing.add(path)
        return found

    def read(self, path: str, limit: int) -> bytes:
        """A small file, at most ``limit`` bytes.

        Raises:
            UpstreamError: it is not there, or longer, or no file, or a link leads out.
        """
        return self._parts.read(f"{self._folder}/{path}", limit)

    def fetch(
        self,
        path: str,
        to: Path,
        size: int,
        checksum: tuple[str, str],
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """A file, whole and durable at ``to``, with this size and checksum, or nothing.

        progress: told of each piece that came, bytes.

        Raises:
            UpstreamError: it is not there, or is another, or no file, or a link leads out.
            StorageError: the disk refused.
        """
        self._parts.copy(f"{self._folder}/{path}", to, size, checksum, progress)


def id_of(carried: Carried) -> str:
    """``<product>/<name>``, as bundles and receipts know it."""
    return f"{carried.product}/{carried.name}"


def folder_of(carried: Carried) -> str:
    """Where it is in a bundle."""
    return f"{CARRIED}/{id_of(carried)}"


def all_carried(portal: Portal) -> list[Carried]:
    """Of all products.

    Raises:
        PluginError: two are of one name, or one is no name; or a plugin failed.
        PortalError: a plugin cannot say.
    """
    owners: dict[str, str] = {}
    found: list[Carried] = []
    for plugin, brought in portal.plugins.lists("eportal_carried", Carried, portal=portal):
        for carried in brought:
            if not re.fullmatch(ID, id_of(carried)):
                raise PluginError(f"Plugin {plugin} carries {id_of(carried)!r}, which is no name.")
            claim(owners, plugin, f"name {id_of(carried)} in bundles")
            found.append(carried)
    return found


def files_of(carried: Carried) -> list[CarriedFile]:
    """All that is here.

    Raises:
        PortalError: what is here is damaged, or has a path that may lead out of its folder.
    """
    with _named(carried):
        found = list(carried.files())
    for file in found:
        if not _PATH.fullmatch(file.path):
            raise PluginError(f"What carries {id_of(carried)} has a file {file.path!r}: no path.")
    return found


def apply(carried: Carried, folder: CarriedFolder) -> str:
    """Take what ``folder`` brings; returns what was done.

    Raises:
        PortalError: it is refused.
    """
    with _named(carried):
        return carried.apply(folder)


@contextmanager
def _named(carried: Carried) -> Iterator[None]:
    """A stranger's code may raise anything."""
    try:
        with disk_errors():
            yield
    except PortalError:
        raise
    except Exception as error:
        raise PluginError(
            f"The plugin that carries {id_of(carried)} failed: {type(error).__name__}: {error}."
        ) from error
