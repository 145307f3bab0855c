"""``/admin/storage``: what takes the room on the disk."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import datetime

from starlette.responses import Response

from eportal_core import disk_usage
from eportal_core.admin.api.operation import Access
from eportal_core.admin.ui.visit import View, Visit
from eportal_core.models import now
from eportal_core.portal import Portal

#: Seconds for which what was measured is shown again: to look at 100,000 files takes some.
_KEPT = 60.0


@dataclass(frozen=True)
class _Measured:
    usage: disk_usage.Usage
    moment: datetime
    at: float


class _Remembered:
    """What was measured last; of many who ask at once, one measures and all see it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: _Measured | None = None

    def of(self, portal: Portal) -> _Measured:
        """Raises: StorageError: a folder cannot be read."""
        with self._lock:
            if self._last is None or time.monotonic() - self._last.at > _KEPT:
                usage = disk_usage.usage(portal)
                self._last = _Measured(usage, now(), time.monotonic())
            return self._last


#: A process has one portal.
_remembered = _Remembered()


def show(visit: Visit) -> Response:
    measured = _remembered.of(visit.portal)
    usage = measured.usage
    others = (
        ("Cache", usage.cache, "It is fetched again when it is missed."),
        ("Staging", usage.staging, "What is being deployed, or was when a command was killed."),
        ("Database", usage.database, ""),
        ("Everything else", usage.other, "In the folders of the portal."),
    )
    products = sum(row.archives + row.trees for row in usage.products)
    return visit.page(
        "storage.html",
        title="Storage",
        usage=usage,
        products=visit.portal.products,
        others=others,
        total=products + sum(size for _, size, _ in others),
        moment=measured.moment,
        size=_size,
    )


def _size(count: int) -> str:
    """Bytes as people read them: ``1.5 GiB``."""
    number, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if number < 1024:
            break
        number, unit = number / 1024, larger
    return f"{count:,} bytes" if unit == "bytes" else f"{number:.1f} {unit}"


VIEWS = (View("GET", "/storage", Access.READER, show),)
