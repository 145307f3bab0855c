"""QEMUCare: live patches for the emulator under virtual machines."""

from eportal_core import BUILD_ID, PatchsetPlugin, PatchsetSpec, Product

plugin = PatchsetPlugin(
    PatchsetSpec(
        product=Product(name="qemu", command="qemu", title="QEMUCare"),
        archive_name=r"U\d{8}_\d+-qemu",
        tree="qemu-resources",
        target=BUILD_ID,
        userspace=True,
    )
)
