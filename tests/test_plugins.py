"""What happens to plugins: those that work, those that do not, and those that collide."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from eportal_core import (
    ArchiveError,
    Caller,
    Carried,
    CarriedFile,
    CarriedFolder,
    Check,
    Entry,
    Event,
    Guide,
    Identity,
    InvalidValue,
    Job,
    Page,
    PatchsetPlugin,
    PatchsetSpec,
    Portal,
    PortalError,
    Product,
    Release,
    Setting,
    SettingsPage,
    Tree,
    UpstreamError,
    View,
    cli,
    db,
    hookimpl,
    hookspecs,
    patchset_commands,
)
from eportal_core.admin.app import admin_app
from eportal_core.admin.navigation import navigation
from eportal_core.agent.app import agent_app
from eportal_core.commands.session import Session
from eportal_core.errors import PluginError
from eportal_core.jobs import all_jobs
from eportal_core.models import FeedPatchset
from eportal_core.operations import bundles, keys, patchsets
from eportal_core.plugin_loading import HOOKS
from eportal_core.plugins import GROUP, Plugins, load
from eportal_core.source.bundle import creating, receipts
from eportal_core.source.bundle.carried import all_carried
from eportal_core.source.client import open_place
from tests.support.commands import CommandLine
from tests.support.patches import KERNEL, WEB, archive
from tests.support.plugins import Installed, opened

FIRMWARE = Product(name="firmware", command="fw", title="Firmware")


def problem(plugins: Plugins) -> str:
    (bad,) = plugins.problems
    return bad.problem


def test_bundled_plugins_come_through_the_entry_points() -> None:
    plugins = load()
    assert "kernelcare" in [plugin.name for plugin in plugins.found]
    assert plugins.problems == []
    assert plugins.products()["kernel"].command == "kcare"


def test_a_plugin_that_raises_at_import_is_set_aside(installed: Installed) -> None:
    installed.source("broken", "raise RuntimeError('no such library')")
    installed.plugin("good", PatchsetPlugin(PatchsetSpec(FIRMWARE, r"F\d+", "firmware")))
    plugins = installed.load()
    assert problem(plugins) == "It cannot be imported: RuntimeError: no such library."
    assert list(plugins.products()) == ["firmware"]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import sys; sys.exit('no such device')", "SystemExit: no such device."),
        ("raise NotImplementedError", "NotImplementedError."),
    ],
)
def test_a_plugin_that_ends_its_own_import_is_set_aside(
    installed: Installed, source: str, told: str
) -> None:
    installed.source("broken", source)
    assert problem(installed.load()) == f"It cannot be imported: {told}"


def test_a_plugin_without_a_hook_is_set_aside(installed: Installed) -> None:
    """The entry point names the module beside the value, or nothing."""
    for plugin in (ModuleType("eportal_firmware"), None, 7):
        installed.points.clear()
        installed.plugin("firmware", plugin)
        plugins = installed.load()
        assert problem(plugins).startswith("It implements no hook: the entry point names the plug")
        assert not plugins.manager.has_plugin("firmware")


def test_a_plugin_that_misspells_a_hook_is_set_aside(installed: Installed) -> None:
    class Misspelt:
        @hookimpl
        def eportal_deplyo(self) -> None: ...

    installed.plugin("misspelt", Misspelt())
    assert problem(installed.load()) == (
        "It implements eportal_deplyo, which is no hook; did you mean eportal_deploy?"
    )


def test_a_plugin_that_forgets_to_mark_a_hook_is_set_aside(installed: Installed) -> None:
    class Unmarked:
        @hookimpl
        def eportal_startup(self, portal: Portal) -> None: ...

        def eportal_checks(self, portal: Portal) -> list[Check]:
            return []

    installed.plugin("unmarked", Unmarked())
    assert problem(installed.load()) == (
        "It has eportal_checks, which is not marked: write @hookimpl above it."
    )


def test_a_plugin_with_an_async_hook_is_set_aside(installed: Installed) -> None:
    class Waits:
        @hookimpl
        async def eportal_checks(self, portal: Portal) -> list[Check]:
            return []

    installed.plugin("waits", Waits())
    assert problem(installed.load()) == "Its eportal_checks is async: hooks are plain functions."


def test_a_class_is_no_plugin_unless_its_hooks_need_no_object(installed: Installed) -> None:
    class Methods:
        @hookimpl
        def eportal_products(self) -> list[Product]:
            return [FIRMWARE]

    class Functions:
        @staticmethod
        @hookimpl
        def eportal_products() -> list[Product]:
            return [FIRMWARE]

    installed.plugin("methods", Methods)
    installed.plugin("functions", Functions)
    plugins = installed.load()
    (bad,) = plugins.problems
    assert bad.name == "methods"
    assert bad.problem.startswith("It is a class, whose hooks are methods")
    assert list(plugins.products()) == ["firmware"]


def test_a_hook_may_be_a_function_of_another_name(installed: Installed) -> None:
    class Named:
        @hookimpl(specname="eportal_products")
        def products(self) -> list[Product]:
            return [FIRMWARE]

    installed.plugin("named", Named())
    plugins = installed.load()
    assert plugins.problems == []
    assert list(plugins.products()) == ["firmware"]


def test_a_plugin_that_makes_its_names_when_asked_is_not_asked(installed: Installed) -> None:
    """As a module whose ``__getattr__`` imports what is asked for, or any object like that."""

    class Lazy:
        def __getattr__(self, name: str) -> object:
            raise KeyError(name)

        @hookimpl
        def eportal_products(self) -> list[Product]:
            return [FIRMWARE]

    installed.plugin("lazy", Lazy())
    plugins = installed.load()
    assert plugins.problems == []
    assert list(plugins.products()) == ["firmware"]


def test_a_plugin_that_cannot_be_kept_in_a_set_is_set_aside(installed: Installed) -> None:
    @dataclass
    class Value:
        product: Product

        @hookimpl
        def eportal_products(self) -> list[Product]:
            return [self.product]

    installed.plugin("firmware", PatchsetPlugin(PatchsetSpec(FIRMWARE, r"F\d+", "firmware")))
    installed.plugin("value", Value(Product("other", "other", "Other")))
    plugins = installed.load()
    (bad,) = plugins.problems
    assert (bad.name, "unhashable" in bad.problem) == ("value", True)
    assert list(plugins.products()) == ["firmware"]


def test_a_plugin_of_two_names_works_under_the_first(installed: Installed) -> None:
    plugin = PatchsetPlugin(PatchsetSpec(FIRMWARE, r"F\d+", "firmware"))
    installed.plugin("firmware", plugin)
    installed.plugin("other", plugin)
    plugins = installed.load()
    (bad,) = plugins.problems
    assert bad.name == "other"
    assert list(plugins.products()) == ["firmware"]


def test_a_plugin_that_asks_for_an_unknown_argument_is_set_aside(installed: Installed) -> None:
    class Greedy:
        @hookimpl
        def eportal_jobs(self, portal: Portal, database: object) -> None: ...

    installed.plugin("greedy", Greedy())
    assert "database" in problem(installed.load())


@pytest.mark.parametrize(
    ("field", "patterns"), [("archive_name", r"r'F(\d+', 'fw'"), ("target", "'F1', 'fw', '[a-z'")]
)
def test_a_product_whose_expression_is_none_is_set_aside(
    installed: Installed, field: str, patterns: str
) -> None:
    installed.source(
        "firmware",
        "from eportal_core import PatchsetPlugin, PatchsetSpec, Product\n"
        f"plugin = PatchsetPlugin(PatchsetSpec(Product('fw', 'fw', 'Firmware'), {patterns}))\n",
    )
    sentence = f"It cannot be imported: ValueError: {field} of Firmware is no regular expression: "
    assert problem(installed.load()).startswith(sentence)


def test_a_bad_plugin_shows_in_plugins_and_doctor(data_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    meta = folder / "broken-1.0.dist-info"
    meta.mkdir(parents=True)
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text("[eportal]\nbroken = no_such_module:plugin\n")
    run = CommandLine(data_dir, {})
    path = {"PYTHONPATH": str(folder)}
    shown = run("plugins", **path)
    assert shown.returncode == 0
    assert re.search(r"^broken +\| broken +\| 1.0 +\|", shown.stdout, re.M)
    assert "ModuleNotFoundError: No module named 'no_such_module'" in shown.stdout
    doctor = run("doctor", **path)
    assert doctor.returncode == 1
    assert "BAD plugin broken: It cannot be imported" in doctor.stdout
    required = run("key", EPORTAL_REQUIRED_PLUGINS="broken", **path)
    assert required.returncode == 2
    assert "REQUIRED_PLUGINS names broken: It cannot be imported" in required.stderr


def test_a_required_plugin_that_is_missing_stops_the_start(cli: CommandLine) -> None:
    done = cli("key", EPORTAL_REQUIRED_PLUGINS="libcare2")
    assert done.returncode == 2
    assert "REQUIRED_PLUGINS names libcare2, which is not installed" in done.stderr
    assert not cli.data_dir.exists()


def test_a_plugin_that_fails_in_a_hook_is_named(installed: Installed) -> None:
    class Fails:
        @hookimpl
        def eportal_products(self) -> list[Product]:
            raise ZeroDivisionError("division by zero")

    installed.plugin("fails", Fails())
    with pytest.raises(PluginError, match="Plugin fails failed in eportal_products: ZeroDivision"):
        cli.build(installed.load())


def test_a_plugin_that_fails_to_deploy_is_named(
    installed: Installed, data_dir: Path, tmp_path: Path
) -> None:
    class Fails:
        @hookimpl(tryfirst=True)
        def eportal_deploy(self, portal: Portal, product: str, archive: Path) -> None:
            raise ZeroDivisionError("division by zero")

    installed.plugin("fails", Fails())
    portal = opened(installed.load(), data_dir)
    sentence = "eportal_deploy failed in one of fails: ZeroDivisionError: division by zero."
    with db.connection(), pytest.raises(PluginError, match=re.escape(sentence)):
        patchsets.deploy(portal, KERNEL, tmp_path)


def test_an_event_reaches_every_plugin(
    installed: Installed, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Hears:
        def __init__(self) -> None:
            self.heard: list[Event] = []

        @hookimpl
        def eportal_event(self, portal: Portal, event: Event) -> None:
            self.heard.append(event)
            raise RuntimeError("no")

    listeners = {"one": Hears(), "two": Hears()}
    for name, listener in listeners.items():
        installed.plugin(name, listener)
    event = Event("patchset.enabled", "firmware/F1", "main")
    opened(installed.load(), data_dir).announce(event)
    assert [listener.heard for listener in listeners.values()] == [[event], [event]]
    for name in listeners:
        assert f"Plugin {name} failed to hear of patchset.enabled firmware/F1" in caplog.text


def test_checks_that_are_no_list_are_a_finding(installed: Installed, data_dir: Path) -> None:
    class Single:
        @hookimpl
        def eportal_checks(self, portal: Portal) -> Check:
            return Check("one", True, "fine")

    installed.plugin("single", Single())
    plugins = installed.load()
    session = Session(plugins, {"EPORTAL_DATA_DIR": str(data_dir)})
    done = CliRunner().invoke(cli.build(plugins), ["doctor"], obj=session)
    assert done.exit_code == 1
    assert "BAD plugin single: Plugin single answers eportal_checks with no list" in done.output


@pytest.mark.parametrize("kind", ["Setting", "Product"])
def test_a_plugin_that_brings_something_else_is_named(installed: Installed, kind: str) -> None:
    hook = {"Setting": "eportal_settings", "Product": "eportal_products"}[kind]

    class Other:
        @hookimpl
        def eportal_settings(self) -> list[str]:
            return ["NAME"]

        @hookimpl
        def eportal_products(self) -> str:
            return "firmware"

    installed.plugin("other", Other())
    plugins = installed.load()
    ask = {"Setting": plugins.settings, "Product": plugins.products}[kind]
    with pytest.raises(PluginError, match=f"Plugin other answers {hook} with no list of {kind}"):
        ask()


@pytest.mark.parametrize(
    ("hook", "answer", "kind", "ask"),
    [
        ("eportal_storage", Tree("firmware", "firmware"), "Tree", Portal.trees),
        ("eportal_jobs", Job("tidy", 60, str), "Job", all_jobs),
        ("eportal_routes", Route("/admin/fw", PlainTextResponse), "BaseRoute", admin_app),
        ("eportal_agent_routes", ["/fw"], "BaseRoute", agent_app),
        ("eportal_navigation", Page("Firmware", "/admin/fw"), "Page", navigation),
        ("eportal_views", ["/fw"], "View", admin_app),
        ("eportal_settings_pages", ["/fw"], "SettingsPage", admin_app),
        ("eportal_carried", 7, "Carried", all_carried),
    ],
)
def test_a_plugin_that_answers_something_else_is_named(
    installed: Installed,
    data_dir: Path,
    hook: str,
    answer: object,
    kind: str,
    ask: Callable[[Portal], object],
) -> None:
    def answers(portal: Portal) -> object:
        return answer

    plugin = ModuleType("eportal_other")
    setattr(plugin, hook, hookimpl(answers))
    installed.plugin("other", plugin)
    with pytest.raises(PluginError, match=f"Plugin other answers {hook} with no list of {kind}"):
        ask(opened(installed.load(), data_dir))


def test_a_check_that_fails_is_a_finding(installed: Installed, data_dir: Path) -> None:
    class Fails:
        @hookimpl
        def eportal_checks(self, portal: Portal) -> Iterator[Check]:
            yield Check("fan", True, "it turns")
            raise ZeroDivisionError("division by zero")

    class Works:
        @hookimpl
        def eportal_checks(self, portal: Portal) -> Iterator[Check]:
            yield Check("light", True, "it is on")

    installed.plugin("fails", Fails())
    installed.plugin("works", Works())
    plugins = installed.load()
    session = Session(plugins, {"EPORTAL_DATA_DIR": str(data_dir)})
    done = CliRunner().invoke(cli.build(plugins), ["doctor"], obj=session)
    assert done.exit_code == 1
    assert "BAD plugin fails: Plugin fails failed in eportal_checks: ZeroDivisi" in done.output
    assert "ok  light: it is on" in done.output


@pytest.mark.parametrize("app", [agent_app, admin_app])
def test_a_plugin_that_fails_at_startup_stops_the_start(
    installed: Installed, data_dir: Path, app: Callable[[Portal], ASGIApp]
) -> None:
    class Fails:
        @hookimpl
        def eportal_startup(self, portal: Portal) -> None:
            assert db.database.execute_sql("SELECT 1").fetchone() == (1,)
            raise ZeroDivisionError("division by zero")

    installed.plugin("fails", Fails())
    portal = opened(installed.load(), data_dir)
    with (
        pytest.raises(PluginError, match="Plugin fails failed in eportal_startup: ZeroDivision"),
        TestClient(app(portal)),
    ):
        pass


def test_every_hook_is_called(
    installed: Installed, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One plugin implements every hook; living a little calls them all."""
    called: set[str] = set()
    migrations = tmp_path / "migrations"
    migrations.mkdir()
    (migrations / "0001_ticket.py").write_text(
        "def up(migrator, db):\n    db.execute_sql('CREATE TABLE ticket (number TEXT)')\n"
    )

    class Curious:
        @hookimpl
        def eportal_settings(self) -> list[Setting]:
            called.add("eportal_settings")
            return [Setting("TICKET_PREFIX", str, "T-", "What tickets begin with.")]

        @hookimpl
        def eportal_products(self) -> list[Product]:
            called.add("eportal_products")
            return [Product(name="tickets", command="tickets", title="Tickets", default=False)]

        @hookimpl
        def eportal_storage(self, portal: Portal) -> list[Tree]:
            called.add("eportal_storage")
            return [Tree("tickets", "tickets")]

        @hookimpl
        def eportal_migrations(self) -> Path:
            called.add("eportal_migrations")
            return migrations

        @hookimpl
        def eportal_commands(self, cli: click.Group) -> None:
            called.add("eportal_commands")
            cli.add_command(click.Command("tickets", callback=lambda: click.echo("no tickets")))

        @hookimpl
        def eportal_startup(self, portal: Portal) -> None:
            called.add("eportal_startup")

        @hookimpl
        def eportal_routes(self, portal: Portal) -> list[Route]:
            called.add("eportal_routes")
            return [Route("/admin/tickets", self.page)]

        @hookimpl
        def eportal_agent_routes(self, portal: Portal) -> list[Route]:
            called.add("eportal_agent_routes")
            return [Route("/tickets", self.page)]

        @hookimpl
        def eportal_jobs(self, portal: Portal) -> list[Job]:
            called.add("eportal_jobs")
            return [Job("tickets", 3600, lambda: "none")]

        @hookimpl
        def eportal_checks(self, portal: Portal) -> list[Check]:
            called.add("eportal_checks")
            return [Check("tickets", True, "none")]

        @hookimpl
        def eportal_fetch(self, portal: Portal, url: str, path: str) -> None:
            called.add("eportal_fetch")

        @hookimpl(tryfirst=True)
        def eportal_deploy(self, portal: Portal, product: str, archive: Path) -> None:
            called.add("eportal_deploy")

        @hookimpl(tryfirst=True)
        def eportal_unroll(self, portal: Portal, product: str, patchset: str, delete: bool) -> None:
            called.add("eportal_unroll")

        @hookimpl
        def eportal_authenticate(self, portal: Portal, username: str, password: str) -> Identity:
            called.add("eportal_authenticate")
            return Identity(username, "tickets")

        @hookimpl
        def eportal_navigation(self, portal: Portal) -> list[Page]:
            called.add("eportal_navigation")
            return [Page("Tickets", "/admin/tickets")]

        @hookimpl
        def eportal_views(self, portal: Portal) -> list[View]:
            called.add("eportal_views")
            return []

        @hookimpl
        def eportal_settings_pages(self, portal: Portal) -> list[SettingsPage]:
            called.add("eportal_settings_pages")
            named = {"USER_LOG_KEEP": "Days of tickets"}
            return [SettingsPage("Ticket settings", "/admin/settings/tickets", named)]

        @hookimpl
        def eportal_guides(self, portal: Portal) -> list[Guide]:
            called.add("eportal_guides")
            return [Guide("Tickets", "How to get one.", (("Ask:", "ask @ADDRESS@ @KEY@"),))]

        @hookimpl
        def eportal_login_links(self, portal: Portal) -> list[Page]:
            called.add("eportal_login_links")
            return [Page("Log in with a ticket", "/admin/tickets")]

        @hookimpl
        def eportal_logout(self, portal: Portal, caller: Caller) -> str:
            called.add("eportal_logout")
            return "/admin/tickets"

        @hookimpl
        def eportal_carried(self, portal: Portal) -> list[Carried]:
            called.add("eportal_carried")
            return [Carried("tickets", "all", "tickets", list, lambda folder: "none")]

        @hookimpl
        def eportal_event(self, portal: Portal, event: Event) -> None:
            called.add("eportal_event")
            raise RuntimeError("an event that fails changes nothing")

        def page(self, request: Request) -> PlainTextResponse:
            return PlainTextResponse("no tickets")

    installed.plugin("curious", Curious())
    installed.points += [
        EntryPoint("kernelcare", "eportal_kernelcare:plugin", GROUP),
    ]
    plugins = installed.load()
    assert plugins.problems == []
    assert plugins.settings()["curious"][0].name == "TICKET_PREFIX"
    group = cli.build(plugins)
    assert "tickets" in group.commands
    portal = opened(plugins, data_dir)
    assert "tickets" in {job.name for job in all_jobs(portal)}
    assert [found for _, found in plugins.each("eportal_checks", portal=portal)]
    with db.connection():
        assert db.database.table_exists("ticket")
        patchsets.deploy(portal, KERNEL, archive(tmp_path, "K20260101_01", {WEB: 1}))
        patchsets.unroll(portal, KERNEL, "K20260101_01")
        assert receipts.make(portal).carried == {"tickets/all": {}}
        with open_place(portal, "tickets:all") as place, pytest.raises(UpstreamError):
            place.read("metadata/1.root.json", 1000)
    with TestClient(agent_app(portal)) as client:
        assert client.get("/tickets").text == "no tickets"
    with TestClient(admin_app(portal)) as client:
        assert client.get("/admin/tickets").text == "no tickets"
        assert '<a href="/admin/tickets">Tickets</a>' in client.get("/admin/").text
        assert "Log in with a ticket" in client.get("/admin/login").text
        client.post("/admin/login", data={"username": "anna", "password": "secret"})
        assert ">Ticket settings</a>" in client.get("/admin/docs/").text
        assert "ask http://testserver KEY" in client.get("/admin/docs/").text
        known = client.get("/admin/api/whoami").json()
        assert client.post("/admin/logout").text == "no tickets"
    assert (known["username"], known["backend"], known["readonly"]) == ("anna", "tickets", True)
    assert called == set(HOOKS)


class Images:
    """A product that bundles carry: images in ``folder``, named by their SHA-256."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @hookimpl
    def eportal_carried(self, portal: Portal) -> list[Carried]:
        return [Carried("firmware", "images", "images", self.files, self.apply)]

    def files(self) -> Iterator[CarriedFile]:
        paths = sorted(self.folder.iterdir())
        index = "".join(f"{path.name} {path.stat().st_size}\n" for path in paths)
        place = self.folder.with_name("index")
        place.write_text(index)
        digest = hashlib.sha512(index.encode()).hexdigest()
        yield CarriedFile("index", place, len(index), ("sha512", digest), always=True)
        for path in paths:
            yield CarriedFile(path.name, path, path.stat().st_size, ("sha256", path.name))

    def apply(self, folder: CarriedFolder) -> str:
        here = {path.name for path in self.folder.iterdir()}
        for line in folder.read("index", 1000).decode().splitlines():
            name, size = line.split()
            if name not in here and folder.has(name):
                folder.fetch(name, self.folder / name, int(size), ("sha256", name))
        return f"{len(list(self.folder.iterdir()))} images"


def image(folder: Path, data: bytes) -> str:
    name = hashlib.sha256(data).hexdigest()
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
    return name


@pytest.fixture
def images(installed: Installed, tmp_path: Path) -> Images:
    """The plugin of both sides: one folder after the other is its."""
    plugin = Images(tmp_path / "near")
    installed.plugin("firmware", plugin)
    return plugin


def test_a_strangers_product_is_carried(
    installed: Installed, images: Images, data_dir: Path, tmp_path: Path
) -> None:
    image(images.folder, b"first")
    image(images.folder, b"second")
    portal = opened(installed.load(), data_dir)
    with db.connection():
        written = creating.create(portal, tmp_path / "bundle")
        assert written.told == "2 images of images"
        images.folder = tmp_path / "far"
        images.folder.mkdir()
        assert bundles.apply(portal, [tmp_path / "bundle"]).done == {"images": "2 images"}
        receipt = receipts.make(portal)
        images.folder = tmp_path / "near"
        third = image(images.folder, b"third")
        assert creating.create(portal, tmp_path / "next", receipt).told == "1 images of images"
        images.folder = tmp_path / "far"
        assert bundles.apply(portal, [tmp_path / "next"]).done == {"images": "3 images"}
    assert (images.folder / third).read_bytes() == b"third"


def test_a_plugin_that_fails_to_take_what_is_carried(
    installed: Installed, images: Images, data_dir: Path, tmp_path: Path
) -> None:
    image(images.folder, b"first")
    portal = opened(installed.load(), data_dir)
    with db.connection():
        creating.create(portal, tmp_path / "bundle")
        (tmp_path / "bundle/carried/firmware/images/index").write_text("nonsense")
        applied = bundles.apply(portal, [tmp_path / "bundle"])
    assert applied.done == {}
    with pytest.raises(PortalError, match="carries firmware/images failed: ValueError: not enough"):
        applied.check()


@pytest.mark.parametrize("name", ["../up", "/etc", "a//b", ".hidden", "", "a\0", "a\n"])
def test_what_is_carried_has_a_plain_name(name: str, installed: Installed, data_dir: Path) -> None:
    class Hostile:
        @hookimpl
        def eportal_carried(self, portal: Portal) -> list[Carried]:
            return [Carried("firmware", name, "images", list, lambda folder: "")]

    installed.plugin("hostile", Hostile())
    portal = opened(installed.load(), data_dir)
    with pytest.raises(PluginError, match=r"Plugin hostile carries .*, which is no name"):
        all_carried(portal)


@pytest.mark.parametrize("path", ["../up", "/etc/up", "a//b", ".hidden", "", "a\0"])
def test_a_file_that_is_carried_stays_in_its_folder(
    path: str, installed: Installed, data_dir: Path, tmp_path: Path
) -> None:
    source = tmp_path / "file"
    source.write_bytes(b"data")
    checksum = "sha256", hashlib.sha256(b"data").hexdigest()

    class Hostile:
        @hookimpl
        def eportal_carried(self, portal: Portal) -> list[Carried]:
            files = [CarriedFile(path, source, 4, checksum)]
            return [Carried("firmware", "all", "files", lambda: files, lambda folder: "")]

    installed.plugin("hostile", Hostile())
    portal = opened(installed.load(), data_dir)
    with db.connection(), pytest.raises(PluginError, match="What carries firmware/all has a file"):
        creating.create(portal, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


class Downloads:
    """A product that is made of no archives: what it deploys is one file."""

    def __init__(self, takes_back: bool) -> None:
        self.takes_back = takes_back

    @hookimpl
    def eportal_commands(self, cli: click.Group) -> None:
        cli.add_command(patchset_commands(FIRMWARE))

    @hookimpl
    def eportal_products(self) -> list[Product]:
        return [FIRMWARE]

    @hookimpl
    def eportal_deploy(self, portal: Portal, product: str, archive: Path) -> Release:
        entry = Entry("firmware/F1", ["images/F1.bin"])
        portal.storage.journal(portal.storage.workspace(), [entry])
        folder = portal.config.patches_dir / "images"
        folder.mkdir()
        (folder / "F1.bin").write_bytes(archive.read_bytes())
        return Release("F1", "1", ())

    @hookimpl
    def eportal_unroll(
        self, portal: Portal, product: str, patchset: str, delete: bool
    ) -> list[Entry] | None:
        return [Entry(f"firmware/{patchset}", ["images/F1.bin"])] if self.takes_back else None


@pytest.mark.parametrize("delete", [False, True])
def test_the_core_removes_what_a_product_published(
    installed: Installed, data_dir: Path, tmp_path: Path, delete: bool
) -> None:
    installed.plugin("firmware", Downloads(takes_back=True))
    portal = opened(installed.load(), data_dir)
    (tmp_path / "image").write_bytes(b"image")
    with db.connection():
        patchsets.deploy(portal, FIRMWARE, tmp_path / "image")
        assert (data_dir / "images/F1.bin").read_bytes() == b"image"
        patchsets.unroll(portal, FIRMWARE, "F1", delete=delete)
        assert (data_dir / "images").exists() != delete
        assert len(patchsets.all_of(FIRMWARE)) == int(not delete)


def test_such_a_product_has_the_commands_for_patchsets(
    installed: Installed, data_dir: Path, tmp_path: Path
) -> None:
    installed.plugin("firmware", Downloads(takes_back=True))
    plugins = installed.load()
    (tmp_path / "image").write_bytes(b"image")

    def kc(*arguments: str) -> Result:
        session = Session(plugins, {"EPORTAL_DATA_DIR": str(data_dir)})
        return CliRunner().invoke(cli.build(plugins), arguments, obj=session)

    def states() -> list[dict[str, str]]:
        return [row["feeds"] for row in json.loads(kc("fw", "list", "--json").stdout)]

    assert kc("fw", "deploy", str(tmp_path / "image")).exit_code == 0
    assert states() == [{"main": "enabled"}]
    assert kc("fw", "disable", "F1").exit_code == 0
    assert states() == [{"main": "disabled"}]
    assert kc("fw", "unroll", "--delete", "F1").exit_code == 0
    assert states() == []
    assert not (data_dir / "images").exists()


@pytest.mark.parametrize("delete", [False, True])
def test_what_no_plugin_takes_back_stays(
    installed: Installed, data_dir: Path, tmp_path: Path, delete: bool
) -> None:
    installed.plugin("firmware", Downloads(takes_back=False))
    portal = opened(installed.load(), data_dir)
    (tmp_path / "image").write_bytes(b"image")
    with db.connection():
        patchsets.deploy(portal, FIRMWARE, tmp_path / "image")
        with pytest.raises(InvalidValue, match="No plugin takes back a patchset of Firmware"):
            patchsets.unroll(portal, FIRMWARE, "F1", delete=delete)
        assert [row.state for row in FeedPatchset.select()] == ["enabled"]
    assert (data_dir / "images/F1.bin").exists()


def test_a_wrapper_may_refuse_any_deploy(
    installed: Installed, data_dir: Path, tmp_path: Path
) -> None:
    class TicketsPlease:
        @hookimpl(wrapper=True)
        def eportal_deploy(self, portal: Portal, product: str, archive: Path) -> Any:
            if not archive.with_suffix(".ticket").exists():
                raise ArchiveError("Every deploy needs a ticket.")
            return (yield)

    installed.plugin("tickets", TicketsPlease())
    installed.points += [EntryPoint("kernelcare", "eportal_kernelcare:plugin", GROUP)]
    portal = opened(installed.load(), data_dir)
    path = archive(tmp_path, "K20260101_01", {WEB: 1})
    with db.connection():
        with pytest.raises(ArchiveError, match="needs a ticket"):
            patchsets.deploy(portal, KERNEL, path)
        path.with_suffix(".ticket").touch()
        patchsets.deploy(portal, KERNEL, path)


def test_a_product_is_one_value(installed: Installed, data_dir: Path, tmp_path: Path) -> None:
    """A second product needs data, no code: it deploys, and keys are gated by it."""
    spec = PatchsetSpec(FIRMWARE, r"F\d{8}_\d+", "firmware", target="[a-z]+-[0-9]+")
    installed.plugin("firmware", PatchsetPlugin(spec))
    portal = opened(installed.load(), data_dir)
    content = tmp_path / "content" / "nic-1" / "7"
    content.mkdir(parents=True)
    (content / "image.bin").write_bytes(b"image")
    from eportal_core.patchsets.pack import pack

    made = tmp_path / "F20260101_01.tar.gz"
    pack(tmp_path / "content", made, spec)
    with db.connection():
        patchsets.deploy(portal, FIRMWARE, made)
        assert keys.products_of(portal, keys.add(portal, "all")) == ["firmware"]
    assert (data_dir / "firmware/nic-1/7/image.bin").read_bytes() == b"image"


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_says_when_its_call_stops(name: str) -> None:
    hook = getattr(hookspecs, name)
    text = " ".join((hook.__doc__ or "").split())
    stops = hook.eportal_spec["firstresult"]
    assert ("Stops at the first answer" in text) == stops
    assert ("Asks every plugin" in text) == (not stops)


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_a_test_of_its_own(name: str) -> None:
    """A test implements it outside the plugin that implements them all."""
    implemented = rf"@hookimpl.*\n\s+def {name}\("
    texts = [path.read_text() for path in Path(__file__).parent.glob("test_*.py")]
    assert sum(len(re.findall(implemented, text)) for text in texts) > 1
