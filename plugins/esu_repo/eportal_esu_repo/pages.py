"""``/admin/patchsets/esu``: what is mirrored, as ``kc.eportal esu list`` tells it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from eportal_core import Access, View
from eportal_esu_repo import PRODUCT
from eportal_esu_repo.repository import mirror
from eportal_esu_repo.status import status

if TYPE_CHECKING:
    from starlette.responses import Response

    from eportal_core import Visit


def show(visit: Visit) -> Response:
    repositories = [(each.name, status(each)) for each in mirror(visit.portal)]
    return visit.page(
        "esu_repo/status.html",
        title=PRODUCT.title,
        repositories=repositories,
        moment=lambda seconds: None if seconds is None else datetime.fromtimestamp(seconds, UTC),
    )


VIEWS = (View("GET", "/patchsets/esu", Access.READER, show),)
