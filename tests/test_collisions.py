"""Two that bring the same name stop the start, with a sentence that names both."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import click
import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Mount, Route

from eportal_core import (
    Access,
    Job,
    PatchsetPlugin,
    PatchsetSpec,
    Portal,
    Product,
    Setting,
    Tree,
    View,
    cli,
    hookimpl,
)
from eportal_core.admin.app import admin_app
from eportal_core.agent.app import agent_app
from eportal_core.config import load as load_config
from eportal_core.errors import ConfigError, PluginError
from tests.support.plugins import Installed, opened

FIRMWARE = Product(name="firmware", command="fw", title="Firmware")


def test_two_plugins_with_the_same_product_stop_the_start(installed: Installed) -> None:
    for name in ("one", "two"):
        installed.plugin(name, PatchsetPlugin(PatchsetSpec(FIRMWARE, r"F\d+", name)))
    with pytest.raises(PluginError, match="firmware is brought by plugin one and by plugin two"):
        cli.build(installed.load())


def test_two_plugins_with_the_same_command_stop_the_start(installed: Installed) -> None:
    class Commands:
        @hookimpl
        def eportal_commands(self, cli: click.Group) -> None:
            cli.add_command(click.Command("firmware"))

    installed.plugin("one", Commands())
    installed.plugin("two", Commands())
    with pytest.raises(PluginError, match="firmware is brought by plugin one and by plugin two"):
        cli.build(installed.load())


def test_a_plugin_that_takes_a_command_of_the_core_stops_the_start(installed: Installed) -> None:
    class Commands:
        @hookimpl
        def eportal_commands(self, cli: click.Group) -> None:
            cli.add_command(click.Command("feed"))

    installed.plugin("one", Commands())
    with pytest.raises(PluginError) as refusal:
        cli.build(installed.load())
    assert str(refusal.value) == (
        "The command feed is brought by the core and by plugin one; uninstall or rename one."
    )


def test_a_plugin_with_two_products_of_one_name_stops_the_start(installed: Installed) -> None:
    class Products:
        @hookimpl
        def eportal_products(self) -> list[Product]:
            return [FIRMWARE, replace(FIRMWARE, command="fw2", api_name="fw2")]

    installed.plugin("one", Products())
    with pytest.raises(PluginError, match="product firmware is brought by plugin one twice"):
        cli.build(installed.load())


def test_two_products_with_the_same_command_stop_the_start(installed: Installed) -> None:
    """Also when neither is made of archives: each has the page of its command."""

    class Products:
        def __init__(self, name: str) -> None:
            self.product = Product(name=name, command="fw", title=name)

        @hookimpl
        def eportal_products(self) -> list[Product]:
            return [self.product]

    installed.plugin("one", Products("images"))
    installed.plugin("two", Products("drivers"))
    sentence = "The product command fw is brought by plugin one and by plugin two"
    with pytest.raises(PluginError, match=sentence):
        cli.build(installed.load())


@pytest.mark.parametrize("expressions", [("F(", "[a-z]+"), (r"F\d+", "[a-z")])
def test_a_spec_refuses_what_is_no_expression(expressions: tuple[str, str]) -> None:
    name, target = expressions
    with pytest.raises(ValueError, match="is no regular expression"):
        PatchsetSpec(FIRMWARE, name, "firmware", target=target)


class Routes:
    """A plugin that brings one route of the admin side."""

    def __init__(self, route: BaseRoute) -> None:
        self.route = route

    @hookimpl
    def eportal_routes(self, portal: Portal) -> list[BaseRoute]:
        return [self.route]


class Pages:
    """A plugin that brings one page."""

    @hookimpl
    def eportal_views(self, portal: Portal) -> list[View]:
        return [View("GET", "/fw/{model}", Access.READER, page)]


def page(request: object) -> PlainTextResponse:
    return PlainTextResponse("fw")


def test_a_route_where_another_plugin_has_a_page_names_both(
    installed: Installed, data_dir: Path
) -> None:
    installed.plugin("pages", Pages())
    installed.plugin("routes", Routes(Route("/admin/fw/{name}", page)))
    sentence = "The route GET /admin/fw/{} is brought by plugin pages and by plugin routes"
    with pytest.raises(PluginError, match=re.escape(sentence)):
        admin_app(opened(installed.load(), data_dir))


@pytest.mark.parametrize(
    ("one", "two", "route"),
    [
        (Route("/admin/fw", page), Route("/admin/fw", page), "GET /admin/fw"),
        (Route("/admin/{fw}/x", page), Route("/admin/{id}/x", page), "GET /admin/{}/x"),
        (Mount("/admin/fw", page), Mount("/admin/fw/", page), "* /admin/fw/"),
    ],
    ids=["path", "parameter", "mount"],
)
def test_two_plugins_with_the_same_route_stop_the_start(
    installed: Installed, data_dir: Path, one: BaseRoute, two: BaseRoute, route: str
) -> None:
    installed.plugin("one", Routes(one))
    installed.plugin("two", Routes(two))
    portal = opened(installed.load(), data_dir)
    sentence = f"The route {route} is brought by plugin one and by plugin two"
    with pytest.raises(PluginError, match=re.escape(sentence)):
        admin_app(portal)


class AgentRoutes:
    """A plugin that brings one route for agents."""

    def __init__(self, path: str) -> None:
        self.path = path

    @hookimpl
    def eportal_agent_routes(self, portal: Portal) -> list[BaseRoute]:
        return [Route(self.path, page)]


@pytest.mark.parametrize(
    ("one", "two", "sentence"),
    [
        ("/fw.json", "/fw.json", "GET /fw.json is brought by plugin one and by plugin two"),
        ("/fw.json", "/healthz", "GET /healthz is brought by the core and by plugin two"),
        ("/{feed}/fw", "/{x}/fw", "GET /{}/fw is brought by plugin one and by plugin two"),
    ],
    ids=["another's", "the core's", "parameter"],
)
def test_an_agent_route_that_is_taken_stops_the_start(
    installed: Installed, data_dir: Path, one: str, two: str, sentence: str
) -> None:
    installed.plugin("one", AgentRoutes(one))
    installed.plugin("two", AgentRoutes(two))
    with pytest.raises(PluginError, match=re.escape(f"The route {sentence}")):
        agent_app(opened(installed.load(), data_dir))


@pytest.mark.parametrize("path", ["/fw", "/administrator", "/{page}"])
def test_a_route_of_the_admin_side_is_below_admin(
    installed: Installed, data_dir: Path, path: str
) -> None:
    installed.plugin("one", Routes(Route(path, page)))
    portal = opened(installed.load(), data_dir)
    with pytest.raises(PluginError, match="not below /admin"):
        admin_app(portal)


def test_two_plugins_with_the_same_setting_stop_the_start(installed: Installed) -> None:
    class Settings:
        @hookimpl
        def eportal_settings(self) -> list[Setting]:
            return [Setting("FW_URL", str, None, "where it is")]

    installed.plugin("one", Settings())
    installed.plugin("two", Settings())
    with pytest.raises(ConfigError, match="FW_URL") as error:
        load_config(installed.load().settings(), {})
    assert "one" in str(error.value)
    assert "two" in str(error.value)


def test_two_plugins_with_the_same_job_stop_the_start(installed: Installed, data_dir: Path) -> None:
    class Jobs:
        @hookimpl
        def eportal_jobs(self, portal: Portal) -> list[Job]:
            return [Job("fetch", 60, lambda: "nothing")]

    installed.plugin("one", Jobs())
    installed.plugin("two", Jobs())
    with pytest.raises(PluginError, match="job fetch is brought by plugin one and by plugin two"):
        admin_app(opened(installed.load(), data_dir))


class Trees:
    """A plugin whose products keep these folders."""

    def __init__(self, *folders: str) -> None:
        self.folders = folders

    @hookimpl
    def eportal_storage(self, portal: Portal) -> list[Tree]:
        return [Tree("firmware", folder) for folder in self.folders]


@pytest.mark.parametrize(
    ("one", "two", "sentence"),
    [
        (
            Trees("images"),
            Trees("images"),
            "The folder images is brought by plugin one and by plugin two; uninstall or rename "
            "one.",
        ),
        (
            Trees(),
            Trees("arch"),
            "The folder arch is brought by the core and by plugin two; uninstall or rename one.",
        ),
        (Trees(), Trees("../images"), "Plugin two brings '../images', which is no folder."),
        (Trees(), Trees("images/new"), "Plugin two brings 'images/new', which is no folder."),
        (Trees(), Trees(""), "Plugin two brings '', which is no folder."),
    ],
    ids=["another's", "the core's", "above", "below", "none"],
)
def test_a_folder_that_a_product_cannot_have_stops_the_start(
    installed: Installed, data_dir: Path, one: Trees, two: Trees, sentence: str
) -> None:
    installed.plugin("one", one)
    installed.plugin("two", two)
    with pytest.raises(PluginError) as refusal:
        opened(installed.load(), data_dir)
    assert str(refusal.value) == sentence
