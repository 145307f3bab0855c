"""Settings of the agent packages.

The defaults of the paths follow what is publicly documented of the vendor's repository, and what
public tools that set it up use; nobody here has looked into it (docs/agent-packages.md).
"""

from __future__ import annotations

from eportal_core import Setting

SETTINGS = (
    Setting(
        "AGENT_REPO_URL",
        str,
        None,
        "Address of the upstream repository of agent packages, which /repo passes through; http or "
        "https. Not set, /repo has nothing.",
    ),
    Setting("AGENT_REPO_USER", str, None, "User name by which the upstream knows this portal."),
    Setting("AGENT_REPO_PASSWORD", str, None, "Password that goes with it.", secret=True),
    Setting(
        "AGENT_REPO_CACHE_SIZE",
        int,
        10 * 1024**3,
        "Bytes that DATA_DIR/cache/repo may have; what was not asked for the longest goes first. "
        "The default is 10 GiB.",
        minimum=1024**2,
    ),
    Setting(
        "AGENT_REPO_FRESH",
        float,
        600.0,
        "Seconds for which a copy of a file that may change, such as an index, is served without "
        "asking the upstream again.",
        minimum=0,
    ),
    Setting(
        "AGENT_REPO_RPM_PATH",
        str,
        "kernelcare/$releasever/$basearch",
        "Where below the upstream the rpm repository is; dnf fills in the variables.",
    ),
    Setting(
        "AGENT_REPO_RPM_KEY",
        str,
        "kernelcare/RPM-GPG-KEY-KernelCare",
        "Where below the upstream the key is with which its rpm packages are signed.",
    ),
    Setting(
        "AGENT_REPO_DEB",
        str,
        "kernelcare-$ID/$VERSION_ID stable main",
        "Where below the upstream the deb repository is, then suite and components as in a "
        "sources.list; $ID, $VERSION_ID and $VERSION_CODENAME are those of the host's os-release.",
    ),
    Setting(
        "AGENT_REPO_DEB_KEY",
        str,
        "kernelcare/kernelcare.gpg",
        "Where below the upstream the key is with which its deb repository is signed.",
    ),
)
