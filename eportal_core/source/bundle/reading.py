"""A bundle as a patch source that is open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from eportal_core.portal import Portal
from eportal_core.source.bundle.parts import Parts
from eportal_core.source.client import Source, open_source
from eportal_core.source.held import signed_at


class BundleSource(Source):
    """What it lists was true when its publisher signed it, however long it was carried."""

    def moment(self, folder: Path) -> datetime:
        when, before = signed_at(folder), self.refreshed
        return when if before is None else max(when, before)


@contextmanager
def open_bundle(portal: Portal, parts: Parts) -> Iterator[BundleSource]:
    """The source that ``parts`` carry, held by nobody else until the block ends.

    Raises:
        Conflict: another process or thread reads the patch source, or another bundle.
    """
    with open_source(portal, url=str(parts.folders[0])):
        yield BundleSource(portal, parts)
