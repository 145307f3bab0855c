"""What ``kc.eportal doctor`` says of the agent packages."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from eportal_core import Check, InvalidValue, Portal
from eportal_kernelcare.packages.upstream import check_url


def checks(portal: Portal) -> Sequence[Check]:
    """Whether there is an upstream, and how full the cache is; the upstream is not asked."""
    url: str | None = portal.config["AGENT_REPO_URL"]
    if url is None:
        return [Check("agent packages", True, "AGENT_REPO_URL is not set: /repo has nothing")]
    try:
        check_url(url)
    except InvalidValue as error:
        return [Check("agent packages", False, str(error), "Correct the setting.")]
    size = _bytes(portal.config.data_dir / "cache" / "repo")
    limit = portal.config["AGENT_REPO_CACHE_SIZE"]
    finding = f"passed through from {url}; {size >> 20} of {limit >> 20} MiB are cached"
    return [Check("agent packages", True, finding)]


def _bytes(folder: Path) -> int:
    return sum(
        (Path(place) / name).lstat().st_size
        for place, _, names in os.walk(folder)
        for name in names
    )
