"""The documentation is what the program says, and its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


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
    """Every ``kc.eportal WORD`` names a command or an option that is there."""
    known = set(re.findall(r"^## kc\.eportal (.+)$", (ROOT / "docs/commands.md").read_text(), re.M))
    first_words = {name.split()[0] for name in known} | {"COMMAND"}
    for word in re.findall(r"kc\.eportal ([a-z][a-z-]+)", page.read_text()):
        assert word in first_words, f"{page.name} tells of kc.eportal {word}"
