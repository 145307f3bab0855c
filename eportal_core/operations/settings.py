"""Set and unset runtime settings: ``DATA_DIR/config/config.json``; the user log tells of it."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from eportal_core import db
from eportal_core.config import Config, Setting
from eportal_core.config.checks import from_text
from eportal_core.config.literal import BadValue
from eportal_core.config.runtime import raw
from eportal_core.config.values import Value
from eportal_core.errors import InvalidValue, NotFound
from eportal_core.models import note
from eportal_core.portal import Portal
from eportal_core.storage import disk_errors, written_aside

log = logging.getLogger("eportal.settings")


def put(portal: Portal, name: str, text: str) -> None:
    """Set a runtime setting to the value that ``text`` stands for in the environment.

    Raises:
        as ``put_all``.
    """
    put_all(portal, {name: text})


def put_all(portal: Portal, texts: Mapping[str, str | None]) -> None:
    """Set several at once, as ``put``, or none of them; None unsets.

    Raises:
        NotFound: there is no such setting.
        InvalidValue: it is no runtime setting, or the text is no value of it.
        SourceRefused: it names a file that is no root of a patch source.
        ConfigError: the file is damaged.
        StorageError: the disk refused.
    """
    config = portal.config
    settings = {name: _runtime_setting(config, name) for name in texts}
    given = {}
    for name, setting in settings.items():
        text = texts[name]
        try:
            given[name] = None if text is None else from_text(setting, text)
        except BadValue as reason:
            raise InvalidValue(f"{reason}.") from None
    for name, value in given.items():
        if value is not None and (check := settings[name].check) is not None:
            check(value)
        if isinstance(value, str):
            _check_form(portal, name, value, given)
    with _changing(config, list(settings.values())) as values:
        values.update(given)
        for name in [name for name, value in given.items() if value is None]:
            del values[name]
    for name, value in given.items():
        log.info("%s was %s", name, "unset" if value is None else "set")


def drop(portal: Portal, name: str) -> None:
    """Unset a runtime setting; one that is not set stays so.

    Raises:
        NotFound, InvalidValue, ConfigError, StorageError: as from ``put_all``.
    """
    put_all(portal, {name: None})


def _runtime_setting(config: Config, name: str) -> Setting:
    found = config.find(name)
    if found is None:
        raise NotFound(f"There is no setting {name}; kc.eportal config lists them.")
    if not found.setting.runtime:
        raise InvalidValue(
            f"{name} does not change while the portal runs; set it in {config.path} and restart."
        )
    return found.setting


def _check_form(portal: Portal, name: str, value: str, given: Mapping[str, object]) -> None:
    """Refuse now what would be refused when the patch source is next read; ``given`` comes too."""
    from eportal_core.source import files, places, trust

    def then(other: str) -> Any:
        return given.get(other, portal.config[other])

    match name:
        case files.SETTING:
            places.place_of(value, portal)
        case "PATCH_SOURCE_USER" if ":" in value:
            # Source: RFC 7617, 2: what follows a colon would be the password.
            raise InvalidValue(f"{name} is a user name, and none has a colon.")
        case trust.ROOT:
            trust.refuse_both(value, then(trust.FINGERPRINT))
            trust.read_root(Path(value))
        case trust.FINGERPRINT:
            trust.refuse_both(value, then(trust.ROOT))
            trust.checked_fingerprint(value)


@contextmanager
def _changing(config: Config, settings: Sequence[Setting]) -> Iterator[dict[str, object]]:
    """What the file has, to be changed by one process at a time; then written, whole or not.

    What became of ``settings`` is recorded, unless the disk refuses the file.
    """
    assert config.runtime is not None
    path = config.runtime.path
    with disk_errors(path.parent):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (path.parent / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            values = raw(path)
            before = dict(values)
            yield values
            with db.database.atomic():
                for setting in settings:
                    _record(setting, before.get(setting.name), values.get(setting.name))
                with written_aside(path, path.with_name(f"{path.name}.new")) as file:
                    os.fchmod(file.fileno(), 0o600)
                    file.write(msgspec.json.format(msgspec.json.encode(values), indent=2) + b"\n")


def _record(setting: Setting, before: object, after: object) -> None:
    if before == after:
        return
    old, new = (
        None if value is None else Value(setting, "", value, "").shown()
        for value in (before, after)
    )
    if old == new:
        new = f"{new}, another one"
    note(
        "setting",
        setting.name,
        None if new is None else {"value": new},
        None if old is None else {"value": old},
    )
