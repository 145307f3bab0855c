"""``/admin/docs/``: how servers are set up, with this portal's address; and the HTTP API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from eportal_core.admin.api.operation import Access
from eportal_core.admin.ui.api_words import described
from eportal_core.admin.ui.visit import Form, View, Visit
from eportal_core.errors import NotFound
from eportal_core.operations import keys
from eportal_core.queries.server_states import key_names
from eportal_core.types import Guide
from eportal_core.web.address import public_address

#: Keys that can be chosen; any other may be named in the address.
_KEYS_MAX = 200
#: What stands for a key as long as none is chosen.
_NO_KEY = "KEY"


@dataclass(frozen=True)
class _Chapter:
    """lacks: the title of the product that the chosen key has not, empty when it has."""

    id: str
    title: str
    text: str
    steps: tuple[tuple[str, str], ...]
    lacks: str


def show(visit: Visit) -> Response:
    names = key_names(_KEYS_MAX)
    chosen = visit.text("key") or (names[0] if names else "")
    products = _products_of(visit, chosen)
    address = public_address(visit.request, visit.portal)
    return visit.page(
        "docs.html",
        title="Docs",
        chapters=[
            _chapter(visit, number, guide, address, chosen or _NO_KEY, products)
            for number, guide in enumerate(_guides(visit))
        ],
        address=address,
        form=Form({"key": chosen}),
        keys=names if chosen in names or not chosen else [chosen, *names],
    )


def show_api(visit: Visit) -> Response:
    return visit.page(
        "docs_api.html",
        title="HTTP API",
        described=described(),
        address=public_address(visit.request, visit.portal),
        header=visit.portal.config["API_AUTH_HEADER"],
    )


def _guides(visit: Visit) -> list[Guide]:
    brought = visit.portal.plugins.lists("eportal_guides", Guide, portal=visit.portal)
    found = [guide for _, guides in brought for guide in guides]
    return sorted(found, key=lambda guide: (guide.order, guide.title.casefold()))


def _products_of(visit: Visit, key: str) -> list[str] | None:
    """What the key is for; None when no key is chosen.

    Raises:
        NotFound: there is no such key.
    """
    return keys.products_of(visit.portal, keys.get(key)) if key else None


def _chapter(
    visit: Visit,
    number: int,
    guide: Guide,
    address: str,
    key: str,
    products: Sequence[str] | None,
) -> _Chapter:
    def filled(text: str) -> str:
        return text.replace("@ADDRESS@", address).replace("@KEY@", key)

    has = not guide.product or products is None or guide.product in products
    return _Chapter(
        f"chapter-{number + 1}",
        guide.title,
        filled(guide.text),
        tuple((about, filled(text).rstrip("\n")) for about, text in guide.steps),
        "" if has else _title(visit, guide.product),
    )


def _title(visit: Visit, product: str) -> str:
    try:
        return visit.portal.product(product).title
    except NotFound:
        return product


VIEWS = (
    View("GET", "/docs/", Access.READER, show),
    View("GET", "/docs/api", Access.READER, show_api),
)
