"""What forms and lists have to choose from."""

from __future__ import annotations

from eportal_core import queries
from eportal_core.portal import Portal


def feed_names() -> list[str]:
    """All feeds, ``main`` first."""
    return [feed["name"] for feed in queries.feeds()]


def product_titles(portal: Portal) -> list[tuple[str, str]]:
    """Names of products, with their titles."""
    return [(product.name, product.title) for product in portal.products.values()]
