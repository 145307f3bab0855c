"""What axe-core, the checker of accessibility, says of a page; npm fetches it once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from tests.support.npm import installed

_FOLDER = Path(__file__).parent / "axe"
_RUN = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
  .filter((each) => ["serious", "critical"].includes(each.impact))
  .map((each) => `${each.id}: ${each.nodes.map((node) => node.html).join(" | ")}`)"""


def findings(page: Any) -> list[str]:
    """The serious ones, each with the elements that are meant; none is good."""
    page.evaluate(_source())
    found: list[str] = page.evaluate(_RUN)
    return found


@cache
def _source() -> str:
    return (installed(_FOLDER, "axe") / "node_modules/axe-core/axe.min.js").read_text()
