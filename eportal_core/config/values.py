"""A setting with its value, and where that came from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from eportal_core.config.checks import check
from eportal_core.config.declared import Declared
from eportal_core.settings import Setting

#: The source of a value that nobody set.
DEFAULT = "default"
MASK = "********"
#: A user name and password in an address.
_CREDENTIALS = re.compile(r"(?<=://)[^/\s'\"]*@")


@dataclass(frozen=True)
class Value:
    """A setting as it is now.

    owner: ``core`` or the name of the plugin that declares it.
    source: ``default``, ``environment (EPORTAL_PORT)``, ``/etc/eportal/config:3``, the path of
        config.json, or ``argument`` for what ``Config.of`` was given.
    """

    setting: Setting
    owner: str
    # Kept out of repr: a secret must not appear in a traceback.
    value: object = field(repr=False)
    source: str

    def shown(self) -> str:
        """The value as a person may see it, written as in the file.

        A secret is masked, and what stands in an address where a password may.
        """
        if self.setting.secret and self.value not in (None, "", []):
            return MASK
        return _CREDENTIALS.sub(f"{MASK}@", repr(self.value))


def defaults(known: Mapping[str, Declared]) -> dict[str, Value]:
    """Every known setting with its default, in the same order."""
    return {
        name: Value(
            found.setting, found.owner, check(found.setting, found.setting.default), DEFAULT
        )
        for name, found in known.items()
    }
