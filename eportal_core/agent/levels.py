"""What the agent process knows by heart of a product's levels, for its routes."""

from __future__ import annotations

from starlette.requests import Request

from eportal_core.agent.access import memory_of


def is_supported(request: Request, product: str, target: str, feed: str | None = None) -> bool:
    """Whether ``feed``, or without it any feed, has patches for ``target``; asks no database."""
    return memory_of(request).is_supported(product, target, feed)


def feed_revision(request: Request, product: str, feed: str) -> int:
    """Another number whenever what ``feed`` has of ``product`` may have changed.

    What is made of it may be kept for as long as the number is the same.
    """
    return memory_of(request).revision(product, feed)
