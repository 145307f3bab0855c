"""The sentences of docs/architecture.md about who may import whom, kept true."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import eportal_core

ROOT = Path(__file__).parent.parent
CORE = ROOT / "eportal_core"
PLUGINS = ROOT / "plugins"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

#: What agents of every product say and ask, whatever it is called: it is the protocol's, and the
#: columns that keep it are named after it.
NAMES_OF_THE_WIRE = ("/admin/api/kcare/", "kcare_version", "kernel_id", "patches for this kernel")

#: Imports run one way: a module may import from its own layer and from those above it here.
LAYERS = (
    ("markers", "types", "errors", "settings", "listening", "counting"),
    ("config",),
    ("db",),
    ("models",),
    ("hookspecs", "plugin_loading", "plugins", "storage"),
    ("proxy", "auth.api_keys", "auth.passwords"),
    ("http",),
    ("downloads",),
    ("portal",),
    ("patchsets",),
    ("source",),
    ("caching",),
    ("operations",),
    ("auth",),
    ("queries", "user_log", "data_age", "disk_usage"),
    ("fleet", "fleet_totals"),
    ("web",),
    ("job_runs",),
    ("agent", "admin", "jobs"),
    ("server",),
    ("commands",),
    ("patchsets.commands",),
    ("patchsets.plugin",),
    ("",),
    ("cli", "__main__"),
    ("testing",),
)


def modules(folder: Path) -> Iterator[tuple[str, ast.Module]]:
    """Dotted name below the package, and syntax tree, of every module in ``folder``."""
    for path in sorted(folder.rglob("*.py")):
        relative = path.relative_to(folder).with_suffix("")
        parts = [part for part in relative.parts if part != "__init__"]
        yield ".".join(parts), ast.parse(path.read_text())


def imported(tree: ast.Module) -> Iterator[str]:
    """Dotted names that a module imports when it runs, wherever in it the import stands."""
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def texts(tree: ast.Module) -> Iterator[ast.Constant]:
    """The strings of a module, and the parts of its f-strings, that are no docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and ast.get_docstring(node) is not None
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docstrings
        ):
            yield node


def layer(module: str) -> int:
    """The layer of a module of the core, by the longest name that it begins with."""
    best = max(
        (
            (len(name), number)
            for number, names in enumerate(LAYERS)
            for name in names
            if module == name or (name and module.startswith(f"{name}."))
        ),
        default=None,
    )
    assert best is not None, f"{module} belongs to no layer: place it in LAYERS"
    return best[1]


def core_module(dotted: str) -> str | None:
    """``eportal_core.db.connect`` -> ``db``; None for what is not the core's."""
    parts = dotted.split(".")
    if parts[0] != "eportal_core":
        return None
    while parts[1:]:
        path = CORE.joinpath(*parts[1:])
        if path.with_suffix(".py").is_file() or (path / "__init__.py").is_file():
            return ".".join(parts[1:])
        parts.pop()
    return ""


@pytest.mark.parametrize(
    ("module", "tree"), [pytest.param(*each, id=each[0] or "core") for each in modules(CORE)]
)
def test_imports_of_the_core_run_one_way(module: str, tree: ast.Module) -> None:
    if module.startswith("migrations"):
        return
    for dotted in imported(tree):
        target = core_module(dotted)
        if target is not None:
            assert layer(target) <= layer(module), f"{module} imports {target}"


def test_the_drawing_has_every_module_in_the_order_of_imports() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    drawing = page.partition("eportal_core/ ")[2].partition("\nplugins/")[0]
    found = re.findall(r"(?<![\w/])([a-z][\w/]*)(?:\.py|/)(?=[ ,\n])", drawing)
    # Scripts of their own, which import nothing of the core.
    drawn = [name.replace("/", ".") for name in found if name != "migrations"]
    order = [layer(name) for name in drawn]
    assert order == sorted(order), drawn
    parts = {module.partition(".")[0] for module, _ in modules(CORE)} - {"", "__main__"}
    assert parts - {"migrations"} == {name.partition(".")[0] for name in drawn}


def test_the_core_imports_no_plugin() -> None:
    packages = {path.name for path in PLUGINS.glob("*/*") if (path / "__init__.py").is_file()}
    assert packages
    for module, tree in modules(CORE):
        for dotted in imported(tree):
            assert dotted.split(".")[0] not in packages, f"{module} imports {dotted}"


def test_the_core_names_no_product() -> None:
    plugins = list(PROJECT["entry-points"]["eportal"])
    names = {plugin.lower() for plugin in plugins} | {"kernel", "kcare", "libcare", "qemu"}
    for module, tree in modules(CORE):
        for text in texts(tree):
            told = text.value.lower()
            for phrase in NAMES_OF_THE_WIRE:
                told = told.replace(phrase, "")
            found = names & set(re.findall("[a-z]+", told))
            assert not found, f"{module} line {text.lineno} names {found}"


def test_plugins_use_only_what_the_core_exports() -> None:
    for folder in (path for path in PLUGINS.iterdir() if path.is_dir()):
        for module, tree in modules(folder):
            for dotted in imported(tree):
                package, _, rest = dotted.partition(".")
                if package == "eportal_core":
                    assert rest in eportal_core.__all__, f"{folder.name} {module} uses {dotted}"


def test_every_exported_name_is_there() -> None:
    for name in eportal_core.__all__:
        assert getattr(eportal_core, name) is not None


def test_only_the_entry_points_name_the_bundled_plugins() -> None:
    packages = {re.split("[:.]", value)[0] for value in PROJECT["entry-points"]["eportal"].values()}
    bundled = {path.name for path in PLUGINS.glob("*/*") if (path / "__init__.py").is_file()}
    assert packages == bundled


def test_the_shared_check_in_path_has_no_slow_middleware() -> None:
    for module, tree in modules(CORE):
        used = {dotted.rpartition(".")[2] for dotted in imported(tree)}
        assert "BaseHTTPMiddleware" not in used, module


#: Makers of connections to other hosts, by the beginning of their names; errors are none.
SENDERS = re.compile(
    r"httpx2?\.|requests\.(?!exceptions|utils|Response|RequestException)|urllib\.request\.|"
    r"urllib3\.(?!exceptions)|http\.client\.|ftplib\.|aiohttp\.|socket\.create_connection"
)
#: Who may: the one maker of sessions; the way from one process of the portal to the other; and the
#: suite for products, which asks an application in its own process.
MAY_SEND = {"http", "agent.forward", "testing.agents"}


def senders(tree: ast.Module) -> Iterator[str]:
    """What a module calls or derives from, or imports by name, that sends requests."""
    used = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    used += [
        base for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases
    ]
    modules_alone = {"requests", "httpx2", "urllib3", "http.client", "urllib.request"}
    names = {ast.unparse(expression) for expression in used}
    names |= set(imported(tree)) - modules_alone
    yield from (name for name in names if SENDERS.match(name))


def test_all_requests_leave_through_the_one_maker_of_sessions() -> None:
    """So the proxy, the certificates and the timeouts are right in all of them."""
    checked = [(module, tree) for module, tree in modules(CORE) if module not in MAY_SEND]
    for folder in (path for path in PLUGINS.iterdir() if path.is_dir()):
        checked += modules(folder)
    for module, tree in checked:
        assert not list(senders(tree)), f"{module} sends requests by itself"


@pytest.mark.parametrize(
    "line",
    [
        "import requests\nrequests.get('http://x')",
        "import requests\nsession = requests.Session()",
        "import requests\nclass Own(requests.Session): ...",
        "from requests import Session",
        "from requests.sessions import Session",
        "import httpx2\nhttpx2.Client()",
        "from urllib.request import urlopen",
        "import urllib3\nurllib3.PoolManager()",
        "import socket\nsocket.create_connection(('x', 1))",
    ],
)
def test_who_sends_by_itself_is_found(line: str) -> None:
    assert list(senders(ast.parse(line)))
