"""The settings of the mirror, and which repositories they name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from eportal_core import InvalidValue

if TYPE_CHECKING:
    from eportal_core import Portal, Setting

#: One name in a path: what a package's file name may hold, and none that begins with a dot.
SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9._+~^@=-]{0,254}"
SAFE_PATH = re.compile(rf"{SEGMENT}(?:/{SEGMENT}){{0,30}}")
_NAME = "[A-Za-z0-9_][A-Za-z0-9._-]{0,99}"
#: The path of a repository, which also becomes the name of a section in a .repo file.
_REPOSITORY = re.compile(rf"{_NAME}(?:/{_NAME}){{0,9}}")


def settings() -> Sequence[Setting]:
    from eportal_core import Setting

    return [
        Setting(
            "ESU_URL",
            str,
            None,
            "Address, http or https, below which the upstream of the ESU and FIPS repositories "
            "keeps them. Not set, nothing is mirrored.",
        ),
        Setting("ESU_USER", str, None, "User name for the upstream of the ESU repositories."),
        Setting("ESU_PASSWORD", str, None, "Password for ESU_USER.", secret=True),
        Setting(
            "ESU_REPOSITORIES",
            list,
            [],
            "Paths below ESU_URL, each of a yum repository (it has repodata/repomd.xml); servers "
            "get them under the same path below /esu/.",
        ),
        Setting(
            "ESU_GPG_KEY",
            str,
            None,
            "File with the armored public keys, one of which must have signed each repository. "
            "Without it nothing is mirrored.",
            absolute=True,
        ),
        Setting(
            "ESU_UPDATE_PERIOD",
            int,
            None,
            "Seconds between two updates of the mirror, for example 3600 * 6. Not set, it is only "
            "updated by kc.eportal esu update.",
            minimum=60,
        ),
        Setting(
            "ESU_METADATA_MAX_BYTES",
            int,
            1024**3,
            "Bytes that one metadata file of a repository may have, also unpacked; the default is "
            "1 GiB.",
            minimum=1024,
        ),
        Setting(
            "ESU_PACKAGE_MAX_BYTES",
            int,
            4 * 1024**3,
            "Bytes that one package may have; the default is 4 GiB.",
            minimum=1024,
        ),
    ]


def repositories(portal: Portal) -> list[str]:
    """The paths in ``ESU_REPOSITORIES``, without slashes at their ends.

    Raises:
        InvalidValue: one is no plain relative path, is there twice, or lies in another.
    """
    paths: list[str] = [path.strip("/") for path in portal.config["ESU_REPOSITORIES"]]
    for path in paths:
        if not _REPOSITORY.fullmatch(path) or "repodata" in path.split("/"):
            raise InvalidValue(
                f"ESU_REPOSITORIES has {path!r}: a path such as almalinux9/esu/x86_64 is needed, "
                "of letters, digits and ._- alone."
            )
        if any(f"{path}/".startswith(f"{other}/") for other in paths if other != path):
            raise InvalidValue(f"ESU_REPOSITORIES has {path!r}, which lies in another of them.")
    if len(set(paths)) < len(paths):
        raise InvalidValue("ESU_REPOSITORIES names a repository twice.")
    return paths
