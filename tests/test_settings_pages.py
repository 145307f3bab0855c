"""Pages of settings that plugins bring: what they may be, and settings of every type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from eportal_core import Check, SettingsPage, SettingsTest, db, hookimpl
from eportal_core import Setting as S
from eportal_core.admin.app import admin_app
from eportal_core.config import load
from eportal_core.errors import PluginError, UpstreamError
from eportal_core.operations import users
from eportal_core.portal import open_portal
from tests.support.plugins import Installed

PASSWORD = "correct horse battery"
FANS = "/admin/settings/fans"
SETTINGS = (
    S("FAN_SPEED", int, 3, "How fast.", runtime=True, minimum=1, maximum=9),
    S("FAN_TILT", float, None, "How far.", runtime=True),
    S("FAN_ON", bool, False, "Whether they turn.", runtime=True),
    S("FAN_NAMES", list, ["left"], "Which.", runtime=True),
    S("FAN_ROOMS", list, [], "Where.", runtime=True),
    S("FAN_PIN", str, None, "What it wants.", runtime=True, secret=True),
    S("FAN_MAKER", str, "acme", "Who made them."),
)


class Fans:
    def __init__(self, *pages: SettingsPage) -> None:
        self.pages = pages

    @hookimpl
    def eportal_settings(self) -> Iterable[S]:
        return SETTINGS

    @hookimpl
    def eportal_settings_pages(self, portal: object) -> Iterable[SettingsPage]:
        return self.pages


def page(test: SettingsTest | None = None, path: str = FANS, title: str = "Fans") -> SettingsPage:
    labels = {setting.name: setting.name.title() for setting in SETTINGS}
    return SettingsPage(title, path, labels, "Fans.", test, {"FAN_ROOMS": ("hall", "attic")})


class Client:
    def __init__(self, client: TestClient) -> None:
        self.client = client

    def get(self) -> str:
        return self.client.get(FANS).text

    def post(self, path: str = FANS, **values: Any) -> Any:
        token = self.client.cookies["starlette_admin_csrftoken"]
        return self.client.post(path, data={"csrftoken": token, **values})


@contextmanager
def logged_in(data_dir: Path, plugins: Installed) -> Iterator[tuple[Client, Any]]:
    loaded = plugins.load()
    config = load(loaded.settings(), {"EPORTAL_DATA_DIR": str(data_dir)})
    portal = open_portal(config, loaded)
    with db.connection(), TestClient(admin_app(portal)) as client:
        users.add(portal, "anna", PASSWORD, readonly=False)
        client.post("/admin/login", data={"username": "anna", "password": PASSWORD})
        yield Client(client), config
    db.close()


def test_settings_of_every_type(installed: Installed, data_dir: Path) -> None:
    installed.plugin("fans", Fans(page()))
    with logged_in(data_dir, installed) as (client, config):
        usual = {"FAN_SPEED": "3", "FAN_NAMES": "left"}
        client.get()
        assert "Nothing was changed." in client.post(**usual).text
        given = {
            "FAN_SPEED": "7",
            "FAN_TILT": "0.5",
            "FAN_ON": "true",
            "FAN_NAMES": "left, right",
            "FAN_ROOMS": ["attic", "hall"],
            "FAN_PIN": " 12 ",
            "FAN_MAKER": "nobody",
        }
        assert "Fans: saved." in client.post(**given).text
        assert (config["FAN_SPEED"], config["FAN_TILT"], config["FAN_ON"]) == (7, 0.5, True)
        assert config["FAN_NAMES"] == ["left", "right"]
        assert config["FAN_ROOMS"] == ["attic", "hall"]
        assert config["FAN_PIN"] == " 12 "
        assert config["FAN_MAKER"] == "acme"
        assert "Fans: saved." in client.post(FAN_NAMES="left").text
        assert (config["FAN_SPEED"], config["FAN_TILT"], config["FAN_ON"]) == (3, None, False)
        assert (config["FAN_NAMES"], config["FAN_ROOMS"]) == (["left"], [])
        assert config.value("FAN_NAMES").source == "default"
        assert config["FAN_PIN"] == " 12 "


def test_one_that_is_wrong_keeps_all_as_it_was(installed: Installed, data_dir: Path) -> None:
    installed.plugin("fans", Fans(page()))
    with logged_in(data_dir, installed) as (client, config):
        client.get()
        answer = client.post(FAN_SPEED="10", FAN_TILT="1.5", FAN_PIN="12", FAN_NAMES="x, y")
        assert answer.status_code == 422
        assert "FAN_SPEED must be from 1 to 9." in answer.text
        assert 'value="1.5"' in answer.text
        assert 'value="x, y"' in answer.text
        assert 'value="12"' not in answer.text
        assert config["FAN_TILT"] is None
        assert config["FAN_PIN"] is None


def test_a_test_tells_its_steps(installed: Installed, data_dir: Path) -> None:
    def run(portal: object, typed: Mapping[str, str]) -> Iterator[Check]:
        assert typed == {"room": "<hall>", "password": "geheim"}
        yield Check("find", True, f"{typed['room']} is there")
        yield Check("turn", False, "it is stuck", "Oil it.")
        raise AssertionError("the first that is not ok is the last")

    test = SettingsTest("Turn", run, {"room": "Room", "password": "Password"})
    installed.plugin("fans", Fans(page(test)))
    with logged_in(data_dir, installed) as (client, _):
        client.get()
        text = client.post(f"{FANS}/test", room="<hall>", password="geheim").text
        assert "<strong>find</strong>: &lt;hall&gt; is there" in text
        assert "<strong>turn</strong>: it is stuck Oil it." in text
        assert "geheim" not in text


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UpstreamError("Nobody answers."), "Nobody answers."),
        (ZeroDivisionError("a secret"), "something went wrong; the portal&#39;s log says what"),
    ],
)
def test_a_test_that_raises(
    installed: Installed, data_dir: Path, error: Exception, told: str
) -> None:
    def run(portal: object, typed: Mapping[str, str]) -> Iterator[Check]:
        yield Check("find", True, "it is there")
        raise error

    installed.plugin("fans", Fans(page(SettingsTest("Turn", run))))
    with logged_in(data_dir, installed) as (client, _):
        client.get()
        text = client.post(f"{FANS}/test").text
        assert "it is there" in text
        assert told in text
        assert "a secret" not in text


def test_a_page_without_a_test_has_none(installed: Installed, data_dir: Path) -> None:
    installed.plugin("fans", Fans(page()))
    with logged_in(data_dir, installed) as (client, _):
        client.get()
        assert client.post(f"{FANS}/test").status_code == 404


@pytest.mark.parametrize(
    ("pages", "told"),
    [
        ([page(path="/admin/settings/source")], "settings page /admin/settings/source"),
        ([page(title="Patch source")], "settings page 'Patch source'"),
        ([page(path="/admin/fans")], "which is not /admin/settings/ and a word"),
        ([page(path="/admin/settings/../x")], "which is not /admin/settings/ and a word"),
        ([page(), page(title="Other")], f"settings page {FANS}"),
        ([SettingsPage("Fans", FANS, {"FAN_SPED": "Speed"})], "FAN_SPED on its page"),
    ],
)
def test_a_page_that_cannot_be_stops_the_start(
    installed: Installed, data_dir: Path, pages: list[SettingsPage], told: str
) -> None:
    installed.plugin("fans", Fans(*pages))
    loaded = installed.load()
    config = load(loaded.settings(), {"EPORTAL_DATA_DIR": str(data_dir)})
    portal = open_portal(config, loaded)
    with pytest.raises(PluginError, match=told):
        admin_app(portal)
    db.close()
