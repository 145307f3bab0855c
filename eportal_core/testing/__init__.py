"""What authors of plugins test their plugins with. It needs pytest beside the portal.

from eportal_core.testing import ProductConformance
from eportal_firmware import plugin


class TestFirmware(ProductConformance):
    plugin = plugin
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from eportal_core.testing.product import ProductConformance

__all__ = ["ProductConformance"]

# Before it is imported: then a check that fails shows the values that it compared.
pytest.register_assert_rewrite(f"{__name__}.product")


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"{__name__}.product"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
