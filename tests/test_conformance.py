"""Every product made of archives passes the suite that we offer to others."""

from __future__ import annotations

import eportal_dbcare
import eportal_kernelcare
import eportal_libcare
import eportal_qemucare
from eportal_core import PatchsetPlugin, PatchsetSpec, Product
from eportal_core.testing import ProductConformance


class TestShortNumbers(ProductConformance):
    """Targets that could be levels, of a product that is composed after the kernel's."""

    plugin = PatchsetPlugin(
        PatchsetSpec(Product("zfw", "zfw", "ZFW"), r"F\d{8}_\d", "zfw", target=r"[1-9]\d{3}")
    )


class TestKernelCare(ProductConformance):
    plugin = eportal_kernelcare.plugin


class TestLibCare(ProductConformance):
    plugin = eportal_libcare.plugin


class TestQemuCare(ProductConformance):
    plugin = eportal_qemucare.plugin


class TestDbCare(ProductConformance):
    plugin = eportal_dbcare.plugin
