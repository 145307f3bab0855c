"""LibCare: live patches for shared libraries."""

from eportal_core import BUILD_ID, PatchsetPlugin, PatchsetSpec, Product
from eportal_libcare.routes import scanner_routes

plugin = PatchsetPlugin(
    PatchsetSpec(
        product=Product(name="libcare", command="libcare", title="LibCare", api_name="user"),
        archive_name=r"U\d{8}_\d+",
        tree="user-resources",
        target=BUILD_ID,
        userspace=True,
        agent_routes=scanner_routes,
    )
)
