"""The agent installed by the real dnf, through the portal, and again from its copies alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.rpms import Signer, build_rpm, end_agent, make_repodata
from tests.support.serving import serving
from tests.support.upstreams import nginx


def run(*command: object, **environ: str) -> str:
    done = subprocess.run(
        list(map(str, command)),
        env={**os.environ, "LC_ALL": "C.UTF-8", **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def repository(root: Path, home: Path) -> None:
    """A signed package for release 9, and the key, at the paths of the defaults."""
    folder = root / "kernelcare/9/x86_64"
    folder.mkdir(parents=True)
    package = build_rpm(folder, "kernelcare")
    signer = Signer.make(home, "kernelcare")
    try:
        signer.sign_rpms([package])
        signer.public_key(root / "kernelcare/RPM-GPG-KEY-KernelCare")
    finally:
        end_agent(signer.home)
    make_repodata(folder)


def host(root: Path) -> Path:
    (root / "etc").mkdir(parents=True)
    (root / "etc/os-release").write_text('ID="almalinux"\nID_LIKE="rhel"\nVERSION_ID="9"\n')
    (root / "etc/dnf/vars").mkdir(parents=True)
    (root / "etc/dnf/vars/releasever").write_text("9\n")
    (root / "etc/dnf/vars/basearch").write_text("x86_64\n")
    return root


def test_dnf_installs_the_agent_and_again_when_the_upstream_is_away(
    tmp_path: Path, data_dir: Path
) -> None:
    upstream = tmp_path / "upstream"
    repository(upstream, tmp_path / "gpg")
    with nginx(tmp_path / "nginx", f"location / {{ root {upstream}; }}") as url:
        first, second = host(tmp_path / "first"), host(tmp_path / "second")
        settings = {"AGENT_REPO_URL": url, "AGENT_REPO_FRESH": "0"}
        with serving(data_dir, "--only", "agent", **settings) as portal:
            install(portal.url, first)
    with serving(data_dir, "--only", "agent", **settings) as portal:
        install(portal.url, second)


def install(portal: str, root: Path) -> None:
    run("sh", "-c", f"curl -s {portal}/install-kernelcare | sh", EPORTAL_ROOT=str(root))
    assert (root / "opt/esu/kernelcare").read_bytes().startswith(b"kernelcare-1.0\n")
