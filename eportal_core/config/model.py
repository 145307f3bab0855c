"""What everybody else is given: the settings with their values, which no longer change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eportal_core.config.checks import check
from eportal_core.config.declared import Declared, by_name
from eportal_core.config.literal import BadValue
from eportal_core.errors import ConfigError
from eportal_core.settings import Setting

#: The file that is read unless ``EPORTAL_CONFIG`` names another one; it need not exist.
DEFAULT_PATH = Path("/etc/eportal/config")
MASK = "********"


@dataclass(frozen=True)
class Value:
    """A setting as it is now.

    owner: ``core`` or the name of the plugin that declares it.
    source: ``default``, ``environment (EPORTAL_PORT)``, ``/etc/eportal/config:3``, or ``argument``
        for what ``Config.of`` was given.
    """

    setting: Setting
    owner: str
    # Kept out of repr: a secret must not appear in a traceback.
    value: object = field(repr=False)
    source: str

    def shown(self) -> str:
        """The value as a person may see it, written as in the file; a secret is masked."""
        if self.setting.secret and self.value not in (None, "", []):
            return MASK
        return repr(self.value)


@dataclass(frozen=True, eq=False)
class Config:
    """The settings of a running portal; ``path`` is the absolute name of the file looked for."""

    path: Path
    _values: Mapping[str, Value] = field(repr=False)

    def __getitem__(self, name: str) -> Any:
        """The value of a declared setting; a list is the caller's own copy."""
        value = self._values[name].value
        return list(value) if isinstance(value, list) else value

    def values(self) -> list[Value]:
        """Every setting: those of the core by name, then those of each plugin by name."""
        return list(self._values.values())

    @property
    def data_dir(self) -> Path:
        return Path(self["DATA_DIR"])

    @property
    def patches_dir(self) -> Path:
        return Path(self["PATCHES_DIR"] or self["DATA_DIR"])

    @classmethod
    def of(
        cls,
        data_dir: Path,
        *,
        declared: Mapping[str, Sequence[Setting]] | None = None,
        **settings: object,
    ) -> Config:
        """Settings that come from the caller alone, for tests: no file, no environment.

        Raises:
            ConfigError: as from ``load``, for an unknown name or a value that does not fit.
        """
        known = by_name(declared or {})
        given = {"DATA_DIR": str(data_dir.absolute()), **settings}
        if unknown := given.keys() - known.keys():
            raise ConfigError(f"There is no setting {min(unknown)}.")
        values = defaults(known)
        for name, value in given.items():
            try:
                checked = check(known[name].setting, value)
            except BadValue as reason:
                raise ConfigError(f"{reason}.") from None
            values[name] = Value(known[name].setting, known[name].owner, checked, "argument")
        return cls(DEFAULT_PATH, values)


def defaults(known: Mapping[str, Declared]) -> dict[str, Value]:
    """Every known setting with its default, in the same order."""
    return {
        name: Value(
            found.setting, found.owner, check(found.setting, found.setting.default), "default"
        )
        for name, found in known.items()
    }
