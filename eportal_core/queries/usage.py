"""How many servers run which patchset, and which kernels a feed's servers have.

Read from the groups of ``fleet``, of which there are some thousand for a million servers.
"""

from __future__ import annotations

from collections.abc import Mapping

from eportal_core import db
from eportal_core.models import Key
from eportal_core.operations.keys import products_of
from eportal_core.portal import Portal
from eportal_core.types import Product

#: A level belongs to the first patchset that brought it, as in the list of servers.
_RUNNING = """
SELECT patchset, feed, sum(servers) FROM (
 SELECT k.feed AS feed, sum(g.servers) AS servers,
  (SELECT min(l.patchset) FROM level AS l
   WHERE l.target = g.kernel_id AND l.level = g.patch_level) AS patchset
 FROM fleet AS g JOIN key AS k ON k.key = g.key
 WHERE g.servers > 0 AND g.patch_level > 0
 GROUP BY k.feed, g.kernel_id, g.patch_level
) AS running WHERE patchset IS NOT NULL GROUP BY patchset, feed
"""
_KERNELS = """
SELECT g.key, g.kernel_id, sum(g.servers) FROM fleet AS g
 WHERE g.servers > 0 AND g.kernel_id <> '' GROUP BY g.key, g.kernel_id
"""


def running() -> dict[str, dict[str, int]]:
    """Servers by patchset (``<product>/<name>``) and feed, of the product that checks in."""
    found: dict[str, dict[str, int]] = {}
    for patchset, feed, servers in db.fetch(_RUNNING):
        found.setdefault(patchset, {})[feed] = servers
    return found


def kernels(portal: Portal, product: Product) -> Mapping[str, Mapping[str, int]]:
    """Servers that get patches of ``product``, by feed and kernel id.

    Those of keys that are disabled, or not for the product, get none.
    """
    feeds = {
        key.key: key.feed_id
        for key in Key.select()
        if key.enabled and product.name in products_of(portal, key)
    }
    found: dict[str, dict[str, int]] = {}
    for key, kernel, servers in db.fetch(_KERNELS):
        if key in feeds:
            of_feed = found.setdefault(feeds[key], {})
            of_feed[kernel] = of_feed.get(kernel, 0) + servers
    return found
