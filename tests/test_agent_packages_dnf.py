"""The agent installed by the real dnf, through the portal, and again from its copies alone."""

from __future__ import annotations

from pathlib import Path

from tests.support.hosts import red_hat, run_script
from tests.support.rpms import Signer, build_rpm, end_agent, make_repodata
from tests.support.serving import serving
from tests.support.upstreams import nginx


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


def test_dnf_installs_the_agent_and_again_when_the_upstream_is_away(
    tmp_path: Path, data_dir: Path
) -> None:
    upstream = tmp_path / "upstream"
    repository(upstream, tmp_path / "gpg")
    with nginx(tmp_path / "nginx", f"location / {{ root {upstream}; }}") as url:
        first, second = red_hat(tmp_path / "first"), red_hat(tmp_path / "second")
        settings = {"AGENT_REPO_URL": url, "AGENT_REPO_FRESH": "0"}
        with serving(data_dir, "--only", "agent", **settings) as portal:
            install(portal.url, first)
    with serving(data_dir, "--only", "agent", **settings) as portal:
        install(portal.url, second)


def test_another_repository_that_is_out_of_reach_is_in_nobody_s_way(
    tmp_path: Path, data_dir: Path
) -> None:
    repository(tmp_path / "upstream", tmp_path / "gpg")
    host = red_hat(tmp_path / "host")
    # As Enterprise Linux 8 has it.
    (host / "etc/dnf/dnf.conf").write_text("[main]\nbest=True\nskip_if_unavailable=False\n")
    (host / "etc/yum.repos.d").mkdir()
    (host / "etc/yum.repos.d/base.repo").write_text(
        "[base]\nname=base\nbaseurl=http://127.0.0.1:1/\nenabled=1\n"
    )
    with (
        nginx(tmp_path / "nginx", f"location / {{ root {tmp_path}/upstream; }}") as url,
        serving(data_dir, "--only", "agent", AGENT_REPO_URL=url) as portal,
    ):
        install(portal.url, host)


def install(portal: str, root: Path) -> None:
    run_script(portal, "install-kernelcare", root)
    assert (root / "opt/esu/kernelcare").read_bytes().startswith(b"kernelcare-1.0\n")
