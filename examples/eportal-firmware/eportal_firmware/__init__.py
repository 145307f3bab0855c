"""Firmware of devices: a product made of patchset archives, whose targets are models."""

from eportal_core import PatchsetPlugin, PatchsetSpec, Product

product = Product(name="firmware", command="fw", title="Firmware")
spec = PatchsetSpec(product, archive_name=r"F\d{8}_\d+", tree="firmware", target="[a-z0-9-]+")
plugin = PatchsetPlugin(spec)
