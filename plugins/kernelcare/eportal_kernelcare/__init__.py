"""KernelCare: live patches for the kernel."""

from eportal_core import PatchsetPlugin, PatchsetSpec, Product
from eportal_kernelcare.routes import kernel_routes

plugin = PatchsetPlugin(
    PatchsetSpec(
        product=Product(name="kernel", command="kcare", title="KernelCare", checkin=True),
        archive_name=r"K?\d{8}_\d+",
        tree="resources",
        public_files=frozenset({"kpatch.info", "kpatch.info.sig"}),
        agent_routes=kernel_routes,
        legacy_options=True,
    )
)
