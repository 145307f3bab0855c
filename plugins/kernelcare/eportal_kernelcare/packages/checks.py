"""What ``kc.eportal doctor`` says of the agent packages."""

from __future__ import annotations

from collections.abc import Sequence

from eportal_core import Check, InvalidValue, Portal, http
from eportal_kernelcare.packages.room import cache_folder, used


def checks(portal: Portal) -> Sequence[Check]:
    """Whether there is an upstream, and how full the cache is; the upstream is not asked."""
    url: str | None = portal.config["AGENT_REPO_URL"]
    if url is None:
        return [Check("agent packages", True, "AGENT_REPO_URL is not set: /repo has nothing")]
    try:
        http.check_address(url, "AGENT_REPO_URL")
    except InvalidValue as error:
        return [Check("agent packages", False, str(error), "Correct the setting.")]
    size = used(cache_folder(portal))
    limit = portal.config["AGENT_REPO_CACHE_SIZE"]
    finding = f"passed through from {url}; {size >> 20} of {limit >> 20} MiB are cached"
    return [Check("agent packages", True, finding)]
