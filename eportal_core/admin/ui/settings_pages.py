"""The pages of settings, of the core and of plugins, and how each setting of one is shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eportal_core.config import Config
from eportal_core.config.values import DEFAULT, Value
from eportal_core.errors import PluginError
from eportal_core.markers import THE_CORE
from eportal_core.plugins import claim
from eportal_core.portal import Portal
from eportal_core.types import SettingsPage

FOLDER = "/admin/settings/"
#: The page of the core, which is made anew for each visit.
SOURCE = f"{FOLDER}source"
_WORD = re.compile(r"[a-z][a-z0-9-]*")


def pages_of_plugins(portal: Portal) -> list[tuple[str, SettingsPage]]:
    """What plugins bring, each with the name of its plugin, by title.

    Raises:
        PluginError: a title or path is taken, a path is not as it should be, or a setting is none.
    """
    owners = {f"settings page {SOURCE}": THE_CORE, "settings page 'Patch source'": THE_CORE}
    found: list[tuple[str, SettingsPage]] = []
    for plugin, pages in portal.plugins.lists(
        "eportal_settings_pages", SettingsPage, portal=portal
    ):
        for page in pages:
            if not _WORD.fullmatch(page.path.removeprefix(FOLDER)):
                raise PluginError(
                    f"Plugin {plugin} brings the settings page {page.path}, which is not {FOLDER} "
                    f"and a word."
                )
            for name in page.settings:
                if portal.config.find(name) is None:
                    raise PluginError(
                        f"Plugin {plugin} has {name} on its page {page.path}: there is no such "
                        f"setting."
                    )
            claim(owners, plugin, f"settings page {page.title!r}")
            claim(owners, plugin, f"settings page {page.path}")
            found.append((plugin, page))
    return sorted(found, key=lambda each: each[1].title.casefold())


@dataclass(frozen=True)
class Shown:
    """A setting as a page shows it.

    shown: its value in words, masked where it is secret. origin: who set it. why: the sentence
    that says why it cannot be changed here, empty when it can.
    """

    name: str
    label: str
    help: str
    shown: str
    origin: str
    why: str
    is_set: bool
    secret: bool
    kind: str
    minimum: float | None
    maximum: float | None
    choices: Sequence[str]

    @property
    def can_change(self) -> bool:
        return not self.why


def all_shown(config: Config, page: SettingsPage) -> list[Shown]:
    return [_shown(config, page, name) for name in page.settings]


def filled(value: Value) -> Any:
    """What the field of a setting holds: a list as it is, all else as a text; no secrets."""
    found = value.value
    if value.setting.secret or found is None:
        return ""
    if isinstance(found, list):
        return list(found)
    return str(found).lower() if isinstance(found, bool) else str(found)


def _shown(config: Config, page: SettingsPage, name: str) -> Shown:
    value = config.value(name)
    setting = value.setting
    return Shown(
        name=name,
        label=page.settings[name],
        help=setting.help,
        shown=_in_words(value),
        origin=_origin(config, value),
        why=_why(config, value),
        is_set=value.source != DEFAULT,
        secret=setting.secret,
        kind=setting.type.__name__,
        minimum=setting.minimum,
        maximum=setting.maximum,
        choices=_choices(page.choices.get(name, ()), value.value),
    )


def _in_words(value: Value) -> str:
    """The value without quotes, as far as it may be seen."""
    match value.value:
        case None | "" | []:
            return ""
        case bool(found):
            return "yes" if found else "no"
        case [*found]:
            return value.shown() if value.setting.secret else ", ".join(map(str, found))
        case str():
            return value.shown().strip("'\"")
        case _:
            return value.shown()


def _origin(config: Config, value: Value) -> str:
    if value.source == DEFAULT:
        return "Not set." if value.value in (None, "", []) else "Not set: this is the default."
    if config.runtime is not None and value.source == str(config.runtime.path):
        return "Set on this page, or by kc.eportal config set."
    if value.source.startswith("environment"):
        return f"Set by the {value.source}."
    return f"Set in {value.source}."


def _why(config: Config, value: Value) -> str:
    on_page = config.runtime is not None and value.source in (DEFAULT, str(config.runtime.path))
    if value.setting.runtime and on_page:
        return ""
    if value.source == DEFAULT:
        return (
            f"It does not change while the portal runs: set it in {config.path} and restart the "
            f"portal."
        )
    if value.source.startswith("environment"):
        return "It cannot be changed here: change the environment and restart the portal."
    return "It cannot be changed here: change it there and restart the portal."


def _choices(known: Sequence[str], chosen: Any) -> Sequence[str]:
    """What is known, and what is set, which may be unknown by now."""
    if not known:
        return ()
    return [*known, *(each for each in chosen or () if each not in known)]
