"""A real dnf on the repositories of a real portal, set up by the script that the portal gives."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.support.esu_world import REPOSITORY, World, packages, world
from tests.support.rpms import end_agent
from tests.support.serving import Served, serving

SCRIPT = Path(__file__).parent.parent / "plugins/esu_repo/eportal_esu_repo/install-tuxcare.sh"
#: Of another machine, whatever this one is.
FOREIGN = "almalinux9/s390x"


@dataclass(frozen=True)
class Machine:
    """A folder that is the root of a machine; ``portal`` is what it asks."""

    root: Path
    portal: Served

    def set_up(self, **environ: str) -> subprocess.CompletedProcess[str]:
        """``curl -s PORTAL/install-tuxcare | bash``."""
        script = f"curl -s {self.portal.url}/install-tuxcare | bash"
        return run("sh", "-c", script, EPORTAL_ROOT=str(self.root), **environ)

    def dnf(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run("dnf", "-y", f"--installroot={self.root}", "--repo=eportal-esu:*", *arguments)

    def files(self) -> dict[str, tuple[bytes, int]]:
        """Content and mode of what the script wrote."""
        return {
            str(path.relative_to(self.root)): (path.read_bytes(), path.stat().st_mode & 0o777)
            for path in self.root.joinpath("etc").rglob("*")
            if path.is_file() and ("sysconfig" in str(path) or "yum.repos.d" in str(path))
        }


def run(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def esu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The repository has ``tuxctl``, a package of our own; it and ``hello`` are signed."""
    with (
        packages(tmp_path_factory.mktemp("made")) as made,
        world(made, tmp_path_factory.mktemp("esu"), mirrored=True) as found,
    ):
        found.add("tuxctl")
        made.signer.sign_rpms(list(found.source.rglob("*.rpm")))
        found.publish()
        foreign = found.upstream.folder / FOREIGN
        foreign.parent.mkdir(exist_ok=True)
        subprocess.run(["cp", "-r", found.source, foreign], check=True)
        both = f"{REPOSITORY},{FOREIGN}"
        assert found.run("update", ESU_REPOSITORIES=both).code == 0
        yield found


@pytest.fixture(scope="module")
def portal(esu: World) -> Iterator[Served]:
    settings = {**esu.settings, "ESU_REPOSITORIES": f"{REPOSITORY},{FOREIGN}"}
    with serving(esu.data_dir, **settings) as served:
        served.cli.ok("key", "-a", "ESU", "--product", "tuxcare-esu")
        served.cli.ok("key", "-a", "OTHER")
        yield served


@pytest.fixture
def machine(portal: Served, tmp_path: Path) -> Iterator[Machine]:
    root = tmp_path / "root"
    root.mkdir()
    yield Machine(root, portal)
    for keyring in root.glob("var/cache/dnf/*/pubring"):
        end_agent(keyring)


def test_dnf_installs_what_the_portal_mirrors(machine: Machine) -> None:
    done = machine.set_up(EPORTAL_KEY="ESU")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "Now run: tuxctl --license-key KEY"
    assert (machine.root / "opt/esu/tuxctl").read_bytes().startswith(b"tuxctl-1.0\n")
    files = machine.files()
    assert files.keys() == {
        "etc/sysconfig/kcare/systemid",
        "etc/yum.repos.d/eportal-esu.repo",
    }
    assert {mode for _, mode in files.values()} == {0o600}
    repo = files["etc/yum.repos.d/eportal-esu.repo"][0].decode()
    assert "gpgcheck=1\nrepo_gpgcheck=1\n" in repo
    assert FOREIGN not in repo

    done = machine.dnf("install", "hello")
    assert done.returncode == 0, done.stderr
    assert (machine.root / "opt/esu/hello").read_bytes().startswith(b"hello-1.0\n")


def test_dnf_is_refused_without_the_product(machine: Machine) -> None:
    done = machine.set_up(EPORTAL_KEY="OTHER")

    assert done.returncode == 1
    assert "has its key the product ESU?" in done.stderr
    done = machine.dnf("install", "hello")
    assert done.returncode != 0
    assert "403" in done.stderr
    assert not (machine.root / "opt").exists()


def test_the_script_can_run_again(machine: Machine) -> None:
    assert machine.set_up(EPORTAL_KEY="ESU").returncode == 0
    before = machine.files()
    servers = len(machine.portal.cli.json("server"))

    again = machine.set_up(EPORTAL_KEY="ESU")

    assert again.returncode == 0, again.stderr
    assert machine.files() == before
    assert len(machine.portal.cli.json("server")) == servers


def test_the_script_honours_a_registration(machine: Machine) -> None:
    server = machine.portal.register("ESU")
    identity = machine.root / "etc/sysconfig/kcare/systemid"
    identity.parent.mkdir(parents=True)
    identity.write_text(f"# kept\nserver_id={server}\n")

    assert machine.set_up().returncode == 0

    assert identity.read_text() == f"# kept\nserver_id={server}\n"
    assert f"username={server}\n" in machine.files()["etc/yum.repos.d/eportal-esu.repo"][0].decode()


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [({}, "set EPORTAL_KEY"), ({"EPORTAL_KEY": "nobody's"}, "refused to register")],
)
def test_the_script_without_a_good_key(
    machine: Machine, environ: dict[str, str], sentence: str
) -> None:
    done = machine.set_up(**environ)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert machine.files() == {}


@pytest.mark.parametrize(
    ("told", "environ"),
    [
        ('VERSION_ID="9.6"', {}),
        ("VERSION_ID='9.6'", {}),
        ("VERSION_ID=9.6", {}),
        ('VERSION_ID="8.10"', {"EPORTAL_RELEASE": "9.6"}),
    ],
)
def test_other_releases_are_left_out(machine: Machine, told: str, environ: dict[str, str]) -> None:
    script = requests.get(f"{machine.portal.url}/install-tuxcare", timeout=10).text
    paths = ("almalinux9.6-esu", "almalinux9.60-esu", "almalinux9.2-esu", "almalinux8/esu", "other")
    known = f"'{REPOSITORY}\n{FOREIGN}'"
    assert known in script
    script = script.replace(known, "'" + "\n".join((REPOSITORY, *paths)) + "'")
    release = machine.root / "etc/os-release"
    release.parent.mkdir()
    release.write_text(f'ID="almalinux"\n{told}\n')

    run("bash", "-c", script, EPORTAL_ROOT=str(machine.root), EPORTAL_KEY="ESU", **environ)

    repo = machine.files()["etc/yum.repos.d/eportal-esu.repo"][0].decode()
    found = [line.removeprefix("name=ESU ") for line in repo.splitlines() if "name=ESU" in line]
    assert found == [REPOSITORY, "almalinux9.6-esu", "other"]


def test_no_repository_is_for_this_machine(machine: Machine) -> None:
    script = requests.get(f"{machine.portal.url}/install-tuxcare", timeout=10).text
    script = script.replace(f"{REPOSITORY}\n", "")
    servers = len(machine.portal.cli.json("server"))
    done = run("bash", "-c", script, EPORTAL_ROOT=str(machine.root), EPORTAL_KEY="ESU")
    assert (done.returncode, done.stdout) == (1, "")
    assert "mirrors no repository for this machine" in done.stderr
    assert machine.files() == {}
    assert len(machine.portal.cli.json("server")) == servers


def test_half_a_script_does_nothing(machine: Machine) -> None:
    script = requests.get(f"{machine.portal.url}/install-tuxcare", timeout=10).text
    half = script[: script.rindex("main")]
    assert run("bash", "-c", half, EPORTAL_ROOT=str(machine.root), EPORTAL_KEY="ESU").stdout == ""
    assert machine.files() == {}


def test_shellcheck(portal: Served, tmp_path: Path) -> None:
    rendered = tmp_path / "rendered.sh"
    rendered.write_text(requests.get(f"{portal.url}/install-tuxcare", timeout=10).text)
    assert portal.url in rendered.read_text()
    for path in (SCRIPT, rendered):
        done = run("shellcheck", str(path))
        assert done.returncode == 0, done.stdout
