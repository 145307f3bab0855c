"""The documentation is what the program says, and its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_generated_pages_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/document", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_documents_exist(page: Path) -> None:
    """``kc.eportal WORD WORD`` names a command that is there, as deep as commands go."""
    commands = (ROOT / "docs/commands.md").read_text()
    known = set(re.findall(r"^## kc\.eportal (.+)$", commands, re.M))
    groups = {name.split()[0] for name in known if " " in name}
    hidden = {"migratedb"}
    for first, second in re.findall(
        r"kc\.eportal ([a-z][a-z-]+)(?: ([a-z][a-z-]+))?", page.read_text()
    ):
        assert first in known | hidden, f"{page.name} tells of kc.eportal {first}"
        if second and first in groups:
            assert f"{first} {second}" in known, f"{page.name}: kc.eportal {first} {second}"
