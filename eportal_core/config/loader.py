"""The settings of this start: environment, file, config.json, default; or a sentence why not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from eportal_core.config.checks import check, from_text
from eportal_core.config.declared import CORE_OWNER, PREFIX, RESERVED, Declared, by_name, similar
from eportal_core.config.files import Document, Entry, at, read
from eportal_core.config.literal import BadValue
from eportal_core.config.model import DEFAULT_PATH, Config
from eportal_core.config.runtime import RuntimeFile, file_in
from eportal_core.config.values import Value, defaults
from eportal_core.errors import ConfigError
from eportal_core.settings import Setting

PATH_VARIABLE = PREFIX + RESERVED


def load(declared: Mapping[str, Sequence[Setting]], environ: Mapping[str, str]) -> Config:
    """The settings of the core and of the plugins in ``declared`` (plugin name to settings).

    Raises:
        ConfigError: anything that is not understood, in a sentence that names the file and the
            line, the variable, or the two declarations.
    """
    known = by_name(declared)
    path = _path(environ)
    document = read(path, required=PATH_VARIABLE in environ)
    _check_tables(path, document, declared.keys())
    values = defaults(known) | _from_file(path, document, known) | _from_environment(environ, known)
    data_dir = Config(path, values).data_dir
    return Config(path, values, RuntimeFile(file_in(data_dir), known))


def _path(environ: Mapping[str, str]) -> Path:
    named = environ.get(PATH_VARIABLE, str(DEFAULT_PATH))
    if not named:
        raise ConfigError(f"{PATH_VARIABLE} is empty; name a file or unset it.")
    return Path(named).absolute()


def _check_tables(path: Path, document: Document, plugins: Iterable[str]) -> None:
    for table, line in document.tables.items():
        if table == CORE_OWNER:
            raise at(path, line, "settings of the core stand above the first table, without one")
        if table not in plugins:
            hint = similar(table, plugins)
            raise at(path, line, f"[{table}] names no plugin that is installed and works{hint}")


def _from_file(path: Path, document: Document, known: Mapping[str, Declared]) -> dict[str, Value]:
    values = {}
    for entry in document.entries:
        found = _find(path, entry, known)
        try:
            value = check(found.setting, entry.value)
        except BadValue as reason:
            raise at(path, entry.line, str(reason)) from None
        values[entry.name] = Value(found.setting, found.owner, value, f"{path}:{entry.line}")
    return values


def _find(path: Path, entry: Entry, known: Mapping[str, Declared]) -> Declared:
    found = known.get(entry.name)
    if found is None:
        hint = similar(entry.name, known)
        reason = f"{entry.name} is no setting of the core or of a plugin that works{hint}"
    elif entry.owner in (None, found.owner):
        return found
    elif found.owner == CORE_OWNER:
        reason = f"{entry.name} is a setting of the core; move it above the first table"
    else:
        reason = f"{entry.name} is a setting of a plugin; move it to the table [{found.owner}]"
    raise at(path, entry.line, reason)


def _from_environment(
    environ: Mapping[str, str], known: Mapping[str, Declared]
) -> dict[str, Value]:
    values = {}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX) or variable == PATH_VARIABLE:
            continue
        name = variable.removeprefix(PREFIX)
        if name not in known:
            hint = similar(name, [RESERVED, *known], PREFIX)
            reason = f"it sets nothing that the portal knows{hint or '; unset it.'}"
            raise ConfigError(f"Environment variable {variable}: {reason}")
        setting, owner = known[name].setting, known[name].owner
        try:
            value = from_text(setting, text)
        except BadValue as error:
            raise ConfigError(f"Environment variable {variable}: {error}.") from None
        values[name] = Value(setting, owner, value, f"environment ({variable})")
    return values
