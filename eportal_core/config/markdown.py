"""docs/settings.md, written from the declarations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from eportal_core.config.checks import limits
from eportal_core.config.declared import CORE_OWNER, by_name
from eportal_core.config.model import Value, defaults
from eportal_core.settings import Setting

_TYPES = {
    bool: "truth value",
    int: "whole number",
    float: "number",
    str: "text",
    list: "list of texts",
}

_INTRODUCTION = """\
# Settings

<!-- Generated: python -m eportal_core.config > docs/settings.md -->

A setting is taken from the environment, else from the file, else it has its default.
`kc.eportal config` shows the value of each one and where it came from. A setting that is not
understood stops the start with a sentence that names the file and the line.

## The file

`/etc/eportal/config`, or the file that the environment variable `EPORTAL_CONFIG` names. It holds
one `NAME = value` each, in Python's notation, with `#` before comments. Numbers may be worked out
with `+ - * / // %`. The file is read, never executed.

```python
DATA_DIR = '/srv/eportal'
TRUSTED_PROXIES = ['127.0.0.1', '10.0.0.8']
CLEAN_INACTIVE_SERVERS_PERIOD = 3600 * 24  # once a day
```

A file whose name ends in `.toml` is TOML: the same names, the settings of the core at its top,
those of a plugin in a table with the plugin's name, such as `[kernelcare]`.

```toml
DATA_DIR = "/srv/eportal"
TRUSTED_PROXIES = ["127.0.0.1", "10.0.0.8"]
CLEAN_INACTIVE_SERVERS_PERIOD = 86400
```

## The environment

`EPORTAL_` and the name, for example `EPORTAL_PORT=8080` or
`EPORTAL_CLEAN_INACTIVE_SERVERS_PERIOD='3600 * 24'`. Truth values are `true`, `yes`, `on`, `1` and
`false`, `no`, `off`, `0`; lists are `10.0.0.8, 10.0.0.9` or `['10.0.0.8', '10.0.0.9']`. Where the
default is "not set", an empty variable means that (`None` in the file).

A variable that begins with `EPORTAL_` and is no setting stops the start too. Kubernetes makes such
variables for a Service called `eportal`: give the Service another name, or the pod
`enableServiceLinks: false`.
"""


def reference(declared: Mapping[str, Sequence[Setting]]) -> str:
    """The page of all settings, of the core and of the plugins in ``declared``, as Markdown.

    Raises:
        ConfigError: as from ``load``, for declarations that cannot work together.
    """
    values = defaults(by_name(declared)).values()
    parts = [_INTRODUCTION]
    for owner, owned in groupby(values, key=lambda value: value.owner):
        title = "Settings of the core" if owner == CORE_OWNER else f"Settings of {owner}"
        parts.append(f"\n## {title}\n")
        parts.extend(_section(value) for value in owned)
    return "".join(parts)


def _section(value: Value) -> str:
    setting = value.setting
    default = "not set" if value.value is None else f"`{value.shown()}`"
    kind = "absolute path" if setting.absolute else _TYPES[setting.type]
    facts = [kind, limits(setting), f"default {default}"]
    if setting.secret:
        facts.append("never shown")
    line = ", ".join(fact for fact in facts if fact)
    return f"\n### `{setting.name}`\n\n{line[0].upper()}{line[1:]}.\n\n{setting.help}\n"
