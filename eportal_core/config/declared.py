"""All settings of one start: those of the core and of the plugins, under one name each."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from eportal_core.config.checks import TYPES, check
from eportal_core.config.literal import BadValue
from eportal_core.errors import ConfigError
from eportal_core.markers import THE_CORE
from eportal_core.settings import CORE, Setting

CORE_OWNER = "core"
#: Begins the variable of every setting in the environment.
PREFIX = "EPORTAL_"
#: ``EPORTAL_CONFIG`` names the file, so no setting may have this name.
RESERVED = "CONFIG"
_NAME = re.compile(r"[A-Z][A-Z0-9_]*")


@dataclass(frozen=True)
class Declared:
    """A setting and who declares it: ``core`` or the name of a plugin."""

    owner: str
    setting: Setting


def by_name(declared: Mapping[str, Sequence[Setting]]) -> dict[str, Declared]:
    """The settings of the core and of the plugins in ``declared``: core first, then by name.

    Raises:
        ConfigError: a name declared twice, or a declaration that cannot work; it names the owners.
    """
    if CORE_OWNER in declared:
        raise ConfigError(f"A plugin is named {CORE_OWNER}, which means the portal; rename it.")
    names: dict[str, Declared] = {}
    for new in _all(declared):
        name = new.setting.name
        if name in names:
            raise ConfigError(
                f"The setting {name} is declared by {_who(names[name].owner)} and by "
                f"{_who(new.owner)}; remove one of the two."
            )
        _check_declaration(new)
        names[name] = new
    return names


def similar(name: str, known: Iterable[str], prefix: str = "") -> str:
    """What to add about an unknown ``name``: ``; did you mean X?``, or nothing."""
    spellings = {spelling.upper(): spelling for spelling in known}
    close = difflib.get_close_matches(name.upper(), spellings, n=1)
    return f"; did you mean {prefix}{spellings[close[0]]}?" if close else ""


def _all(declared: Mapping[str, Sequence[Setting]]) -> Iterator[Declared]:
    for owner, settings in [(CORE_OWNER, CORE), *sorted(declared.items())]:
        for setting in sorted(settings, key=lambda setting: setting.name):
            yield Declared(owner, setting)


def _check_declaration(new: Declared) -> None:
    setting = new.setting
    who = f"The setting {setting.name} of {_who(new.owner)}"
    if not _NAME.fullmatch(setting.name) or setting.name == RESERVED:
        raise ConfigError(f"{who} needs another name: UPPER_CASE, and not {RESERVED}.")
    if setting.type not in TYPES:
        raise ConfigError(f"{who} is declared with a type that no setting has.")
    try:
        check(setting, setting.default)
    except BadValue as reason:
        raise ConfigError(f"{who} has a default that it would refuse: {reason}.") from None


def _who(owner: str) -> str:
    return THE_CORE if owner == CORE_OWNER else f"the plugin {owner}"
