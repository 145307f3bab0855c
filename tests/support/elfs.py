"""Real ELF files, made by the compiler, and their build-ids, read by a program that is not ours."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

#: Values of the linker's --build-id -> length of the build-id, bytes.
STYLES = {"sha1": 20, "md5": 16, "uuid": 16, "0x0123456789abcdef": 8}


def library(path: Path, *, style: str = "sha1", answer: int = 42) -> str:
    """Make the shared library ``path``, whose function returns ``answer``; returns its build-id."""
    _compile(path, f"int answer(void) {{ return {answer}; }}", style, "-shared", "-fPIC")
    return build_id(path)


def program(path: Path, *, style: str = "sha1") -> str:
    """Make the program ``path``; returns its build-id."""
    _compile(path, "int main(void) { return 0; }", style)
    return build_id(path)


def nameless(path: Path) -> None:
    """Make a program without a build-id."""
    _compile(path, "int main(void) { return 0; }", "none")


def build_id(path: Path) -> str:
    notes = subprocess.run(
        ["readelf", "--notes", "--wide", path],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    ).stdout
    (found,) = re.findall(r"Build ID: ([0-9a-f]+)", notes)
    return str(found)


def _compile(path: Path, source: str, style: str, *options: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["gcc", *options, f"-Wl,--build-id={style}", "-x", "c", "-", "-o", path],
        input=source,
        text=True,
        check=True,
    )
