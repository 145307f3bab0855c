"""The scripts that hosts are set up with: run by real shells, below a folder of the test."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.hosts import debian
from tests.support.serving import Served, serving
from tests.support.upstreams import Upstream, upstream

NAMES = ("install-kernelcare", "set-kernelcare-repo", "set-patch-server")
KEY = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nnone\n-----END PGP PUBLIC KEY BLOCK-----\n"
SHELLS = (["bash"], ["dash"], ["busybox", "sh"])
CONFIG = "etc/sysconfig/kcare/kcare.conf"


@pytest.fixture(scope="module")
def source() -> Iterator[Upstream]:
    with upstream() as served:
        served.files["/kernelcare/RPM-GPG-KEY-KernelCare"] = KEY
        served.files["/kernelcare/kernelcare.gpg"] = b"\x99\x01binary key"
        yield served


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory, source: Upstream) -> Iterator[Served]:
    data_dir = tmp_path_factory.mktemp("portal") / "var"
    with serving(data_dir, "--only", "agent", AGENT_REPO_URL=source.url) as served:
        yield served


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return debian(tmp_path / "host")


def script(portal: Served, name: str) -> str:
    answer = requests.get(f"{portal.url}/{name}", timeout=10)
    answer.raise_for_status()
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    return answer.text


def run(
    text: str, root: Path | str, shell: list[str] | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Pipe a script into a shell, as people do."""
    return subprocess.run(
        shell or ["bash"],
        input=text,
        env={"PATH": os.environ["PATH"], "EPORTAL_ROOT": str(root), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def ok(text: str, root: Path, shell: list[str] | None = None, **environ: str) -> str:
    done = run(text, root, shell, **environ)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def tree(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file with its mode, its time of change and its bytes."""
    return {
        str(path.relative_to(root)): (
            path.stat().st_mode,
            path.stat().st_mtime_ns,
            path.read_bytes(),
        )
        for path in root.rglob("*")
        if path.is_file()
    }


def red_hat(root: Path) -> None:
    (root / "etc/os-release").write_text('ID="almalinux"\nID_LIKE="rhel centos fedora"\n')


@pytest.mark.parametrize("name", NAMES)
def test_shellcheck_finds_nothing(portal: Served, name: str) -> None:
    done = subprocess.run(
        ["shellcheck", "-s", "sh", "-"],
        input=script(portal, name),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
@pytest.mark.parametrize("name", NAMES[1:])
def test_twice_is_once(portal: Served, root: Path, name: str, shell: list[str]) -> None:
    text = script(portal, name)
    assert "was written" in ok(text, root, shell)
    after = tree(root)
    assert ok(text, root, shell) == ""
    assert tree(root) == after


def test_a_fresh_host_gets_both_addresses(portal: Served, root: Path) -> None:
    ok(script(portal, "set-patch-server"), root)
    assert (root / CONFIG).read_text() == (
        f"PATCH_SERVER={portal.url}/\nREGISTRATION_URL={portal.url}/admin/api/kcare\n"
    )
    assert stat.S_IMODE((root / CONFIG).stat().st_mode) == 0o644


BEFORE = """\
# REGISTRATION_URL=http://commented.example.com
AUTO_UPDATE=True

  PATCH_SERVER = http://10.1.10.115/
STICKY_PATCHSET=K20230908_02
UPDATE_DELAY=\\n%s $HOME `x` & |
PATCH_SERVER=http://again.example.com/
PATCH_SERVERS=other"""
AFTER = """\
# REGISTRATION_URL=http://commented.example.com
AUTO_UPDATE=True

PATCH_SERVER={url}/
STICKY_PATCHSET=K20230908_02
UPDATE_DELAY=\\n%s $HOME `x` & |
PATCH_SERVER={url}/
PATCH_SERVERS=other
REGISTRATION_URL={url}/admin/api/kcare
"""


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_what_people_have_set_is_kept(portal: Served, root: Path, shell: list[str]) -> None:
    real = root / "etc/kcare-of-the-operator.conf"
    real.write_text(BEFORE)
    real.chmod(0o640)
    os.chown(real, 1234, 4321)
    (root / CONFIG).parent.mkdir(parents=True)
    (root / CONFIG).symlink_to(real)
    ok(script(portal, "set-patch-server"), root, shell)
    assert (root / CONFIG).is_symlink()
    assert real.read_text() == AFTER.format(url=portal.url)
    found = real.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o640, 1234, 4321)


@pytest.mark.parametrize("name", NAMES)
def test_a_script_that_came_by_half_does_nothing(portal: Served, root: Path, name: str) -> None:
    text = script(portal, name)
    before = tree(root)
    end = text.rindex("main")
    for length in {*range(0, end, end // 25), *range(end - 12, end + 4)}:
        run(text[:length], root)
        assert tree(root) == before, text[:length][-40:]


def test_the_repository_of_a_red_hat_host(portal: Served, root: Path) -> None:
    red_hat(root)
    ok(script(portal, "set-kernelcare-repo"), root)
    key = root / "etc/pki/rpm-gpg/RPM-GPG-KEY-KernelCare"
    assert key.read_bytes() == KEY
    assert (root / "etc/yum.repos.d/kernelcare-eportal.repo").read_text() == (
        "# Written by set-kernelcare-repo of ePortal, which will write it again.\n"
        "[kernelcare-eportal]\nname=KernelCare through ePortal\n"
        f"baseurl={portal.url}/repo/kernelcare/$releasever/$basearch\n"
        f"enabled=1\ngpgcheck=1\ngpgkey=file://{key}\n"
    )


def test_the_repository_of_a_debian_host(portal: Served, root: Path, source: Upstream) -> None:
    ok(script(portal, "set-kernelcare-repo"), root)
    keyrings = root / "usr/share/keyrings"
    assert (root / "etc/apt/sources.list.d/kernelcare-eportal.list").read_text() == (
        "# Written by set-kernelcare-repo of ePortal, which will write it again.\n"
        f"deb [signed-by={keyrings}/kernelcare-eportal.gpg] "
        f"{portal.url}/repo/kernelcare-debian/12 stable main\n"
    )
    assert [file.name for file in keyrings.iterdir()] == ["kernelcare-eportal.gpg"]
    binary = source.files["/kernelcare/kernelcare.gpg"]
    assert (keyrings / "kernelcare-eportal.gpg").read_bytes() == binary


def test_what_a_careful_root_sets_up_can_be_read(portal: Served, root: Path) -> None:
    shell = ["bash", "-c", "umask 077; exec sh"]
    ok(script(portal, "set-kernelcare-repo"), root, shell)
    ok(script(portal, "set-patch-server"), root, shell)
    for folder in ("usr/share/keyrings", "etc/sysconfig/kcare"):
        assert stat.S_IMODE((root / folder).stat().st_mode) == 0o755


@pytest.mark.parametrize(
    ("release", "sentence"),
    [
        ("ID=gentoo\n", "neither a Debian nor a Red Hat one"),
        ("ID=debian\n", "/etc/os-release has no usable VERSION_ID."),
        ("ID=debian\nVERSION_ID='12;x'\n", "/etc/os-release has no usable VERSION_ID."),
    ],
)
def test_a_host_that_is_not_understood_is_left_alone(
    portal: Served, root: Path, release: str, sentence: str
) -> None:
    (root / "etc/os-release").write_text(release)
    before = tree(root)
    for name in NAMES[:2]:
        done = run(script(portal, name), root)
        assert done.returncode == 1
        assert sentence in done.stderr
        assert tree(root) == before


def test_a_portal_without_packages_says_why(tmp_path: Path, root: Path) -> None:
    before = tree(root)
    with serving(tmp_path / "var", "--only", "agent") as portal:
        done = run(script(portal, "set-kernelcare-repo"), root)
    assert done.returncode == 1
    assert "answers 404: This portal has no agent packages: AGENT_REPO_URL is not" in done.stderr
    assert tree(root) == before


@pytest.mark.parametrize(
    "mailto", ["ops@example.com\n* * * * * root reboot", "a b", "$(reboot)", "a;b", "x\ty", "ä"]
)
def test_a_mail_address_that_is_more_is_refused(portal: Served, root: Path, mailto: str) -> None:
    before = tree(root)
    for shell in SHELLS:
        done = run(script(portal, "install-kernelcare"), root, shell, KCARE_MAILTO=mailto)
        assert done.returncode == 1
        assert done.stderr == "ePortal: KCARE_MAILTO holds more than addresses and commas.\n"
        assert tree(root) == before


PACKAGE_MANAGER = """\
#!/bin/sh
# Stands for the package manager: notes how it was called, and brings what the package has.
cat
printf '%s\\n' "$0 $*" >>"$EPORTAL_ROOT/calls"
env | grep ^KCARE_ | sort >"$EPORTAL_ROOT/environment"
mkdir -p "$EPORTAL_ROOT/etc/cron.d"
printf '# updates\\n15 * * * * root true\\n' >"$EPORTAL_ROOT/etc/cron.d/kcare-cron"
printf 'PATCH_SERVER=http://patches.example.com/\\n' >"$EPORTAL_ROOT/etc/sysconfig/kcare/kcare.conf"
"""


@pytest.mark.parametrize("manager", ["dnf", "yum"])
def test_a_package_that_brings_its_own_configuration(
    portal: Served, root: Path, tmp_path: Path, manager: str
) -> None:
    """The real package managers are asked in the tests with real repositories."""
    red_hat(root)
    programs = tmp_path / "programs"
    programs.mkdir()
    for program in Path("/usr/bin").iterdir():
        if program.name not in ("dnf", "yum"):
            (programs / program.name).symlink_to(program)
    (programs / manager).write_text(PACKAGE_MANAGER)
    (programs / manager).chmod(0o755)
    mail = {"KCARE_MAILTO": "ops@example.com,root"}
    out = ok(script(portal, "install-kernelcare"), root, PATH=str(programs), **mail)
    assert out.endswith("Register this host with: kcarectl --register KEY\n")
    calls = (root / "calls").read_text()
    assert calls == (
        f"{programs}/{manager} --setopt=*.skip_if_unavailable=1 "
        "--setopt=kernelcare-eportal.skip_if_unavailable=0 "
        f"--installroot={root} -y install kernelcare\n"
    )
    assert (root / "environment").read_text() == (
        "KCARE_MAILTO=ops@example.com,root\n"
        f"KCARE_PATCH_SERVER={portal.url}/\n"
        f"KCARE_REGISTRATION_URL={portal.url}/admin/api/kcare\n"
        f"KCARE_REPO={portal.url}/repo\n"
    )
    assert f"PATCH_SERVER={portal.url}/\n" in (root / CONFIG).read_text()
    assert (root / "etc/cron.d/kcare-cron").read_text() == (
        "MAILTO=ops@example.com,root\n# updates\n15 * * * * root true\n"
    )


def test_only_root_may(portal: Served) -> None:
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", "sh"],
        input=script(portal, "set-patch-server"),
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "ePortal: run this as root.\n")
