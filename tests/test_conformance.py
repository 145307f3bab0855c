"""Every product of ours passes the suite that we offer to others."""

from __future__ import annotations

import eportal_dbcare
import eportal_kernelcare
import eportal_libcare
import eportal_qemucare
from eportal_core.testing import ProductConformance


class TestKernelCare(ProductConformance):
    plugin = eportal_kernelcare.plugin


class TestLibCare(ProductConformance):
    plugin = eportal_libcare.plugin


class TestQemuCare(ProductConformance):
    plugin = eportal_qemucare.plugin


class TestDbCare(ProductConformance):
    plugin = eportal_dbcare.plugin
