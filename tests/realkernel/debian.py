"""What the proof takes from Debian: installed tools, and packages that are only unpacked."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

#: Must be installed (Debian 12): to build a module, to make an initramfs, to run a guest.
#: libelf1 and libssl3 are what the kernel's own build tools are linked with.
PACKAGES = ("busybox-static", "cpio", "gcc-12", "libelf1", "libssl3", "make", "qemu-system-x86")
#: Fetching 40 MB of packages may take this long, seconds.
DOWNLOAD_SECONDS = 600


class DebianError(RuntimeError):
    """A package is not to be had; the message says which, and what apt or dpkg said."""


def require_packages() -> None:
    """Check that ``PACKAGES`` are installed.

    Raises:
        DebianError: some are not; the message holds the command that installs them.
    """
    query = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *PACKAGES],
        capture_output=True,
        text=True,
        check=False,  # it fails when it does not know one of them, and still lists the others
    )
    missing = [name for name in PACKAGES if f"{name} installed" not in query.stdout.splitlines()]
    if missing:
        raise DebianError(
            "Packages are missing, install them with: "
            f"apt-get install -y --no-install-recommends {' '.join(missing)}"
        )


class Apt:
    """apt with package lists of its own below ``state``.

    So the lists are never stale, no root is needed, and the system's own apt is left as it is.
    The host's sources and proxies are used.
    """

    def __init__(self, state: Path) -> None:
        self._options = (
            f"-oDir::State={state}/state",
            f"-oDir::Cache={state}/cache",
            # Otherwise root's apt warns that the user _apt cannot write into our directory.
            "-oAPT::Sandbox::User=root",
            "-oAcquire::Languages=none",
        )
        for directory in ("state/lists/partial", "cache/archives/partial"):
            (state / directory).mkdir(parents=True)
        # Its exit code is no verdict: a broken source of a third party fails it as well. Where
        # Debian's own is the broken one, the next command misses the package.
        self._update = self._run(["apt-get", "update", "-qq"]).stderr

    def depends(self, package: str) -> list[str]:
        """Names of the packages that ``package`` depends on.

        Raises:
            DebianError: no source has this package.
        """
        shown = self._run(["apt-cache", "show", "--no-all-versions", package])
        field = re.search(r"^Depends: (.*)$", shown.stdout, re.MULTILINE)
        if field is None:
            raise DebianError(f"apt finds no {package}: {self._update}{shown.stderr}")
        return [re.split(r"[ |(:]", item, maxsplit=1)[0] for item in field[1].split(", ")]

    def download(self, packages: Sequence[str], directory: Path) -> None:
        """Put the newest ``.deb`` of each package into ``directory``.

        Raises:
            DebianError: apt could not fetch or verify one of them.
        """
        fetched = self._run(["apt-get", "download", "-qq", *packages], directory)
        if fetched.returncode != 0:
            raise DebianError(
                f"apt cannot download {' '.join(packages)}: {self._update}{fetched.stderr}"
            )

    def _run(
        self, command: Sequence[str], directory: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *self._options],
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
            timeout=DOWNLOAD_SECONDS,
        )


def unpack(archives: Sequence[Path], root: Path) -> None:
    """Extract the packages below ``root``; no maintainer script runs.

    Raises:
        DebianError: an archive is damaged, or the disk is full.
    """
    for archive in archives:
        unpacked = subprocess.run(
            ["dpkg-deb", "--extract", archive, root], capture_output=True, text=True, check=False
        )
        if unpacked.returncode != 0:
            raise DebianError(f"{archive.name} cannot be unpacked: {unpacked.stderr}")
