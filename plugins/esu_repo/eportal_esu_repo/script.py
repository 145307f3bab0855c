"""``/install-tuxcare``: the shell script beside this file, with the portal's address filled in."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

_TEMPLATE = Path(__file__).with_name("install-tuxcare.sh")


def install_script(portal: str, repositories: Sequence[str]) -> str:
    """portal: its address. repositories: those whose sections the script writes."""
    script = _TEMPLATE.read_text()
    for name, value in (("portal", portal), ("repositories", "\n".join(repositories))):
        script = script.replace(f"@{name}@", shlex.quote(value))
    return script


def refusal(sentence: str) -> str:
    """A script that fails with ``sentence``: whoever pipes the answer into a shell shall see it."""
    return f"echo {shlex.quote(f'install-tuxcare: {sentence}')} >&2\nexit 1\n"
