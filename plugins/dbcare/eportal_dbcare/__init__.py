"""DBCare: live patches for database servers."""

from eportal_core import BUILD_ID, PatchsetPlugin, PatchsetSpec, Product

plugin = PatchsetPlugin(
    PatchsetSpec(
        product=Product(name="db", command="db", title="DBCare"),
        archive_name=r"D\d{8}_\d+",
        tree="db-resources",
        target=BUILD_ID,
        userspace=True,
    )
)
