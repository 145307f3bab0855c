"""The agent installed by the real apt-get, through the portal, from a real nginx."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support import debs
from tests.support.hosts import debian, run_script
from tests.support.rpms import Signer, end_agent
from tests.support.serving import serving
from tests.support.upstreams import nginx

SETTINGS = {"AGENT_REPO_USER": "portal", "AGENT_REPO_PASSWORD": "s3cret"}


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    signer = Signer.make(tmp_path_factory.mktemp("key") / "home", "kernelcare")
    yield signer
    end_agent(signer.home)


def repository(root: Path, signer: Signer, *versions: str, by_hash: bool = True) -> Path:
    """What the upstream has: packages for Debian 12, and the key, at the paths of the defaults."""
    packages = [debs.make_deb(root.parent, version) for version in versions]
    debs.publish(root / "kernelcare-debian/12", packages, signer, by_hash=by_hash)
    (root / "kernelcare").mkdir(exist_ok=True)
    signer.gpg("--output", root / "kernelcare/kernelcare.gpg", "--export")
    return root


def protected(root: Path, folder: Path) -> str:
    """Locations of an nginx that serves ``root`` to the portal alone."""
    folder.mkdir()
    (folder / "htpasswd").write_text("portal:{PLAIN}s3cret\n")
    return (
        f"location / {{ root {root}; auth_basic upstream; "
        f"auth_basic_user_file {folder}/htpasswd; }}"
    )


def installed(root: Path) -> str:
    return subprocess.run([root / "usr/bin/kcarectl"], capture_output=True, text=True).stdout


def test_apt_installs_the_agent_and_again_when_the_upstream_is_away(
    tmp_path: Path, data_dir: Path, signer: Signer
) -> None:
    upstream = repository(tmp_path / "upstream", signer, "1.0")
    with nginx(tmp_path / "nginx", protected(upstream, tmp_path / "auth")) as url:
        assert requests.get(f"{url}/kernelcare/kernelcare.gpg", timeout=5).status_code == 401
        portal_settings = {"AGENT_REPO_URL": url, "AGENT_REPO_FRESH": "0", **SETTINGS}
        with serving(data_dir, "--only", "agent", **portal_settings) as portal:
            first = debian(tmp_path / "first")
            run_script(portal.url, "install-kernelcare", first, KCARE_MAILTO="ops@example.com")
            assert installed(first) == "1.0\n"
    # The upstream is stopped now; the portal starts anew, and so does the host.
    with serving(data_dir, "--only", "agent", **portal_settings) as portal:
        second = debian(tmp_path / "second")
        run_script(portal.url, "install-kernelcare", second)
        assert installed(second) == "1.0\n"
        assert portal.log.read_text().count("What is in the cache is served") == 1
    config = (first / "etc/sysconfig/kcare/kcare.conf").read_text()
    assert f"REGISTRATION_URL=http://127.0.0.1:{first_port(config)}/admin/api/kcare\n" in config
    assert (first / "etc/cron.d/kcare-cron").read_text().startswith("MAILTO=ops@example.com\n#")


def first_port(config: str) -> str:
    return config.partition("PATCH_SERVER=http://127.0.0.1:")[2].partition("/")[0]


def test_apt_finds_a_new_version_as_soon_as_its_index_is_asked_for(
    tmp_path: Path, data_dir: Path, signer: Signer
) -> None:
    upstream = repository(tmp_path / "upstream", signer, "1.0", by_hash=False)
    with (
        nginx(tmp_path / "nginx", protected(upstream, tmp_path / "auth")) as url,
        serving(
            data_dir, "--only", "agent", AGENT_REPO_URL=url, AGENT_REPO_FRESH="0", **SETTINGS
        ) as portal,
    ):
        host = debian(tmp_path / "host")
        run_script(portal.url, "install-kernelcare", host)
        repository(upstream, signer, "1.0", "2.0", by_hash=False)
        run_script(portal.url, "install-kernelcare", host)
        assert installed(host) == "2.0\n"
