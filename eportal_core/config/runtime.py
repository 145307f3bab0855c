"""Settings that change while the portal runs: ``DATA_DIR/config/config.json``, read again.

The file holds one JSON object, setting to value. ``kc.eportal config set`` writes it; a file that
was damaged, or that others may write, stops a start, and a running process keeps what it had.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec

from eportal_core.config.checks import check
from eportal_core.config.declared import Declared, similar
from eportal_core.config.literal import BadValue
from eportal_core.config.values import Value
from eportal_core.errors import ConfigError

log = logging.getLogger("eportal.config")

#: A larger file is not one of settings, bytes.
MAX_BYTES = 1024 * 1024
_MEND = "mend it, or remove it and set again what it had by kc.eportal config set"


def file_in(data_dir: Path) -> Path:
    """Where the portal that keeps its data in ``data_dir`` has its runtime settings."""
    return data_dir / "config" / "config.json"


class RuntimeFile:
    """The values that the file sets, as it is now."""

    def __init__(self, path: Path, known: Mapping[str, Declared]) -> None:
        """Read it once.

        Raises:
            ConfigError: as from ``read``.
        """
        self.path = path
        self._known = known
        self._mark = _mark(path)
        self._values = read(path, known)

    def values(self) -> Mapping[str, Value]:
        """What is set, by name; costs one ``stat`` unless the file was replaced."""
        mark = _mark(self.path)
        if mark != self._mark:
            try:
                self._values = read(self.path, self._known)
            except ConfigError as error:
                log.error("%s Until then, the settings stay as they were.", error)
            self._mark = mark
        return self._values


def read(path: Path, known: Mapping[str, Declared]) -> dict[str, Value]:
    """The runtime settings in ``path``, checked; none when there is no file.

    Raises:
        ConfigError: it cannot be read, is damaged, or sets what is no runtime setting.
    """
    values = {}
    for name, value in raw(path).items():
        found = known.get(name)
        if found is None:
            hint = similar(name, [each for each in known if known[each].setting.runtime])
            raise _at(path, f"{name} is no setting of the core or of a plugin that works{hint}")
        if not found.setting.runtime:
            raise _at(path, f"{name} cannot be set here, only in the configuration file")
        try:
            checked = check(found.setting, value)
        except BadValue as reason:
            raise _at(path, str(reason)) from None
        values[name] = Value(found.setting, found.owner, checked, str(path))
    return values


def raw(path: Path) -> dict[str, object]:
    """The object in ``path`` as it stands there; empty when there is no file.

    Raises:
        ConfigError: it cannot be read, others may write it, or it is no JSON object.
    """
    try:
        with path.open("rb") as file:
            _check_owner(path, os.fstat(file.fileno()))
            data = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        reason = f"it cannot be read ({error.strerror}); run this as the user of the portal"
        raise _at(path, reason) from None
    if len(data) > MAX_BYTES:
        raise _at(path, f"it is larger than {MAX_BYTES} bytes; {_MEND}")
    try:
        return msgspec.json.decode(data, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _at(path, f"it is damaged ({error}); {_MEND}") from None


def _check_owner(path: Path, found: os.stat_result) -> None:
    """Refuse a file that others may write: it says which source of patches is believed.

    Raises:
        ConfigError: its mode lets others write it, or it is neither ours, nor root's, nor of
            whom the data directory is.
    """
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _at(path, f"others may write it; look at what it sets, then run chmod 600 {path}")
    if found.st_uid not in (0, os.geteuid(), path.parent.parent.stat().st_uid):
        raise _at(
            path,
            f"it belongs to the user {found.st_uid}; look at what it sets, then give it to whom "
            f"the data directory belongs to",
        )


def _at(path: Path, reason: str) -> ConfigError:
    return ConfigError(f"{path}: {reason}{'' if reason.endswith('?') else '.'}")


def _mark(path: Path) -> tuple[int, ...] | None:
    """Changes whenever the file, its owner or its mode does; None when it cannot be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode, found.st_uid
