"""Real RPM packages and yum repositories: made by rpmbuild and createrepo_c, signed by gpg."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SPEC = """
Name: {name}
Version: {version}
Release: 1
Summary: A package of the tests
License: Apache-2.0
BuildArch: noarch
%description
A package of the tests.
%install
mkdir -p %{{buildroot}}/opt/esu
echo {name}-{version} >%{{buildroot}}/opt/esu/{name}
head -c {size} /dev/urandom >>%{{buildroot}}/opt/esu/{name}
%files
/opt/esu/{name}
"""


def build_rpm(folder: Path, name: str, version: str = "1.0", size: int = 2000) -> Path:
    """``<folder>/<name>-<version>-1.noarch.rpm``, with a file of ``size`` random bytes."""
    work = folder / f".build-{name}-{version}"
    work.mkdir(parents=True)
    spec = work / f"{name}.spec"
    spec.write_text(_SPEC.format(name=name, version=version, size=size))
    file_name = "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm"
    macros = {"_topdir": work, "_rpmdir": folder, "_rpmfilename": file_name}
    _run("rpmbuild", "-bb", "--quiet", *_defined(macros), spec)
    shutil.rmtree(work)
    return folder / f"{name}-{version}-1.noarch.rpm"


def make_repodata(folder: Path, *options: object) -> None:
    """``<folder>/repodata`` for the packages below ``folder``, signed by nobody yet."""
    shutil.rmtree(folder / "repodata", ignore_errors=True)
    _run("createrepo_c", "-q", "--no-database", *options, folder)


@dataclass(frozen=True)
class Signer:
    """A key pair in a keyring of its own."""

    home: Path
    name: str

    @classmethod
    def make(cls, home: Path, name: str = "esu") -> Signer:
        # Short, because gpg-agent has a socket here.
        home.mkdir(mode=0o700)
        signer = cls(home, name)
        signer.gpg("--passphrase", "", "--quick-generate-key", name, "rsa2048", "sign", "never")
        return signer

    def gpg(self, *arguments: object, time: str = "") -> str:
        """Run gpg; time: pretended, as gpg writes one."""
        faked = ("--faked-system-time", time) if time else ()
        return _run(
            "gpg", "--homedir", self.home, "--batch", "--yes", "--pinentry-mode", "loopback",
            *faked, *arguments,
        )  # fmt: skip

    def public_key(self, path: Path) -> Path:
        path.write_text(self.gpg("--armor", "--export", self.name))
        return path

    def sign(self, repository: Path, time: str = "") -> None:
        """Sign the ``repomd.xml`` of ``repository``."""
        repomd = repository / "repodata/repomd.xml"
        self.gpg("--armor", "--detach-sign", repomd, time=time)

    def sign_rpms(self, paths: Sequence[Path]) -> None:
        macros = {"_gpg_name": self.name, "_gpg_path": self.home, "__gpg": shutil.which("gpg")}
        _run("rpmsign", *_defined(macros), "--addsign", *paths)


def end_agent(home: Path) -> None:
    """End the agent that gpg started for the keyring in ``home``."""
    _run("gpgconf", "--homedir", home, "--kill", "all")


def _defined(macros: Mapping[str, object]) -> list[str]:
    return [word for name, value in macros.items() for word in ("--define", f"{name} {value}")]


def _run(*command: object) -> str:
    """By the system's programs: the environment of the tests has a createrepo_c of its own."""
    own = str(Path(sys.executable).parent)
    path = [folder for folder in os.environ["PATH"].split(os.pathsep) if folder != own]
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "LC_ALL": "C.UTF-8", "PATH": os.pathsep.join(path)},
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout
