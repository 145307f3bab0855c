"""What everybody else is given: the settings with their values; only runtime settings change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eportal_core.config.checks import check
from eportal_core.config.declared import by_name
from eportal_core.config.literal import BadValue
from eportal_core.config.runtime import RuntimeFile
from eportal_core.config.values import DEFAULT, Value, defaults
from eportal_core.errors import ConfigError
from eportal_core.settings import Setting

#: The file that is read unless ``EPORTAL_CONFIG`` names another one; it need not exist.
DEFAULT_PATH = Path("/etc/eportal/config")


@dataclass(frozen=True, eq=False)
class Config:
    """The settings of a running portal; ``path`` is the absolute name of the file looked for.

    runtime: the file of settings that may change, None when nothing does.
    """

    path: Path
    _values: Mapping[str, Value] = field(repr=False)
    runtime: RuntimeFile | None = field(default=None, repr=False)

    def __getitem__(self, name: str) -> Any:
        """The value of a declared setting; a list is the caller's own copy."""
        value = self.value(name).value
        return list(value) if isinstance(value, list) else value

    def values(self) -> list[Value]:
        """Every setting: those of the core by name, then those of each plugin by name."""
        return [self.value(name) for name in self._values]

    def value(self, name: str) -> Value:
        """A declared setting as it is now, and where that came from."""
        found = self._values[name]
        if found.setting.runtime and self.runtime is not None and found.source == DEFAULT:
            return self.runtime.values().get(name, found)
        return found

    def find(self, name: str) -> Value | None:
        """The same for a name that may be none of a setting."""
        return self.value(name) if name in self._values else None

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
