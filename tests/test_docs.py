"""The documentation is what the program says, and its links lead somewhere."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import tracemalloc
import zipfile
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

import eportal_core
from eportal_core import Portal, UpstreamError, hookspecs
from eportal_core.commands.root import root_command
from eportal_core.models import DISABLED, ENABLED, UNDEPLOYED
from eportal_core.plugins import GROUP, load

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
#: What a patchset may become in a feed.
STATES = (ENABLED, DISABLED, UNDEPLOYED)


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
    if page.name == "plugins.md":
        known |= commands_of_the_examples() | {"blocklist"}
    groups = {name.split()[0] for name in known if " " in name}
    hidden = {"migratedb"}
    for first, second in re.findall(
        r"kc\.eportal ([a-z][a-z-]+)(?: ([a-z][a-z-]+))?", page.read_text()
    ):
        assert first in known | hidden, f"{page.name} tells of kc.eportal {first}"
        if second and first in groups:
            assert f"{first} {second}" in known, f"{page.name}: kc.eportal {first} {second}"


def commands_of_the_examples() -> set[str]:
    """What the plugins that are the tutorial's code add to ``kc.eportal``."""
    points = []
    with pytest.MonkeyPatch.context() as patch:
        for project in sorted((ROOT / "examples").glob("*/pyproject.toml")):
            patch.syspath_prepend(str(project.parent))
            declared = tomllib.loads(project.read_text())["project"]["entry-points"][GROUP]
            points += [EntryPoint(name, value, GROUP) for name, value in declared.items()]
        plugins = load(points)
    assert plugins.problems == []
    groups = root_command()
    for _ in plugins.each("eportal_commands", cli=groups):
        pass
    return {
        name
        for first, command in groups.commands.items()
        for name in (first, *(f"{first} {second}" for second in getattr(command, "commands", ())))
    }


def reference(page: str) -> dict[str, str]:
    """Rows of a reference: what each is called, and its text."""
    text = (ROOT / "docs" / page).read_text()
    rows = re.split(r"^### ([\w.]+)", text, flags=re.M)[1:]
    return dict(zip(rows[::2], rows[1::2], strict=True))


def test_every_hook_has_a_row_in_the_documentation() -> None:
    rows = reference("plugins.md")
    hooks = {
        name: " ".join(hook.__doc__.split())
        for name, hook in vars(hookspecs).items()
        if name.startswith("eportal_")
    }
    assert rows.keys() == hooks.keys()
    for name, contract in hooks.items():
        assert contract in " ".join(rows[name].split()), name


def test_every_exported_name_has_a_row_that_says_something() -> None:
    rows = reference("plugin-names.md")
    assert {name.partition(".")[0] for name in rows} == set(eportal_core.__all__)
    for name, row in rows.items():
        assert row.partition("\n")[2].strip() not in ("", "None"), f"{name} is not documented"
        assert " at 0x" not in row


def test_every_exported_name_is_of_use() -> None:
    """A plugin or the tutorial imports it, or a hook or another name has to do with it."""
    trees = [
        ast.parse(path.read_text())
        for folder in ("plugins", "examples")
        for path in (ROOT / folder).rglob("*.py")
    ]
    imported = {
        alias.name
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "eportal_core"
        for alias in node.names
    }
    rows = {**reference("plugins.md"), **reference("plugin-names.md")}
    tutorial = (ROOT / "docs/plugins.md").read_text().partition("\n## Hooks\n")[0]
    for name in set(eportal_core.__all__) - imported:
        if re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", tutorial):
            continue
        others = (text for row, text in rows.items() if row.partition(".")[0] != name)
        assert any(re.search(rf"\b{name}\b", text) for text in others), f"{name} is of no use"


def test_every_event_of_the_core_is_documented() -> None:
    text = "".join(path.read_text() for path in (ROOT / "eportal_core").rglob("*.py"))
    kinds = set(re.findall(r'Event\("([\w-]+\.\w+)"', text))
    told = set(re.findall(r"`([\w-]+\.\w+)`", (ROOT / "docs/plugins.md").read_text()))
    assert len(kinds) > 5
    assert kinds | {f"patchset.{state}" for state in STATES} <= told


def test_a_workspace_is_removed_as_the_page_says(portal: Portal) -> None:
    """The block that plugins are told to publish in also clears what they left in it."""
    page = (ROOT / "docs/plugins.md").read_text()
    (block,) = re.findall(r"^\| `portal\.storage\.(\w+)\(\)` \| a block", page, re.M)
    assert f"portal.storage.{block}():" in page.partition("## A product without archives")[2]
    with getattr(portal.storage, block)():
        workspace = portal.storage.workspace()
        (workspace / "half").touch()
    assert not workspace.exists()


def test_the_plugin_for_zip_files_reads_no_more_than_it_is_asked_for(
    portal: Portal, tmp_path: Path
) -> None:
    """And tells a source that is away from a file that it has not."""
    page = (ROOT / "docs/plugins.md").read_text()
    code = page.partition("<!-- file eportal-zip/eportal_zip.py -->\n```python\n")[2]
    module = ModuleType("eportal_zip")
    exec(code.partition("```")[0], vars(module))
    place, large = tmp_path / "source.zip", 64 << 20
    url = f"zip:{place}"
    with pytest.raises(UpstreamError):
        module.eportal_fetch(portal, url, "large")
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as source:
        source.writestr("large", bytes(large))
    with pytest.raises(FileNotFoundError):
        module.eportal_fetch(portal, url, "small")
    tracemalloc.start()
    with module.eportal_fetch(portal, url, "large") as file:
        assert file.read(10) == bytes(10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < large / 8


def test_the_tutorial_is_all_of_the_examples() -> None:
    """Every line of their Python stands in docs/plugins.md, and there is not more than promised."""
    page = (ROOT / "docs/plugins.md").read_text()
    for name, most in (("eportal-firmware", 80), ("eportal-auth-file", 40)):
        files = sorted((ROOT / "examples" / name).rglob("*.py"))
        count = sum(len(file.read_text().splitlines()) for file in files)
        assert files
        assert count < most
        assert f"`examples/{name}` ({count} lines)" in page.replace("\n", " ")
        included = "".join(
            code
            for path, code in re.findall(
                r"<!-- include (\S+).*? -->\n```\w+\n(.*?)\n```\n", page, re.S
            )
            if path.startswith(f"examples/{name}/")
        )
        for file in files:
            for line in file.read_text().splitlines():
                assert line in included, f"{file} has a line that the tutorial has not: {line}"
