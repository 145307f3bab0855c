"""Virtual environments that are clean but for the portal, made without a network.

What the portal itself needs is borrowed from the environment that runs the tests; the portal and
the plugins are built and installed as users do it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
#: ``0`` is how pip's option of this name is switched on by a variable.
_OFFLINE = {
    "PIP_NO_INDEX": "1",
    "PIP_NO_BUILD_ISOLATION": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
}


@dataclass(frozen=True)
class CleanEnvironment:
    """A virtual environment in ``folder``."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> CleanEnvironment:
        venv.create(folder, with_pip=False, symlinks=True)
        made = cls(folder)
        packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
        (packages / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
        pip = made.program("pip")
        pip.write_text(f'#!/bin/sh\nexec "{made.program("python")}" -m pip "$@"\n')
        pip.chmod(0o755)
        return made

    def program(self, name: str) -> Path:
        return self.folder / "bin" / name

    @property
    def environ(self) -> dict[str, str]:
        """As after ``activate``, and offline; nothing is set for a portal."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("EPORTAL_", "PIP_"))}
        path = f"{self.program('python').parent}:{clean['PATH']}"
        return {**clean, **_OFFLINE, "PATH": path, "VIRTUAL_ENV": str(self.folder)}

    def install(self, *projects: Path) -> None:
        # The one that is borrowed does not count.
        self.run("pip", "install", "-q", "--no-deps", "--ignore-installed", *projects)

    def run(self, program: str, *arguments: object) -> str:
        """Run a program that must succeed, to its end; returns what it printed."""
        done = subprocess.run(
            [self.program(program), *map(str, arguments)],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def portal_wheel(folder: Path) -> Path:
    """The portal's wheel, built in ``folder``."""
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT],
        env={**os.environ, **_OFFLINE},
        check=True,
        timeout=300,
    )
    (wheel,) = folder.glob("eportal-*.whl")
    return wheel
