from eportal_core.testing import ProductConformance

from eportal_firmware import extras, plugin, tickets


class TestFirmware(ProductConformance):
    plugin, others, settings = plugin, (extras, tickets), {"TICKET": "CHG-1"}
