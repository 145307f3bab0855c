"""Hosts below a folder, and what people type on them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def debian(root: Path) -> Path:
    """The folders and files of a Debian host below ``root``, as far as apt and dpkg need them."""
    for name in (
        "etc/apt/apt.conf.d",
        "etc/apt/preferences.d",
        "etc/apt/sources.list.d",
        "var/lib/dpkg/updates",
        "var/lib/dpkg/info",
        "var/lib/apt/lists/partial",
        "var/cache/apt/archives/partial",
        "var/log/apt",
        "tmp",
    ):
        (root / name).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    (root / "etc/os-release").write_text(
        'NAME="Debian GNU/Linux"\nID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
    )
    return root


def red_hat(root: Path) -> Path:
    """The same of a host of AlmaLinux 9, as far as dnf needs them."""
    (root / "etc").mkdir(parents=True)
    (root / "etc/os-release").write_text('ID="almalinux"\nID_LIKE="rhel"\nVERSION_ID="9"\n')
    (root / "etc/dnf/vars").mkdir(parents=True)
    (root / "etc/dnf/vars/releasever").write_text("9\n")
    (root / "etc/dnf/vars/basearch").write_text("x86_64\n")
    return root


def run_script(portal: str, name: str, root: Path, **environ: str) -> str:
    """What people type: ``curl -s http://portal/name | bash``, on the host below ``root``."""
    done = subprocess.run(
        f"curl -s {portal}/{name} | bash",
        shell=True,
        env={**os.environ, "EPORTAL_ROOT": str(root), **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
