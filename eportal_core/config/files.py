"""The configuration file, read in its two forms; what the names mean is decided elsewhere."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import tomli

from eportal_core.config.declared import CORE_OWNER
from eportal_core.config.literal import BadValue, assignments
from eportal_core.config.statements import PYTHON, TOML, statements
from eportal_core.errors import ConfigError

#: A larger file is not a configuration, bytes.
MAX_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Entry:
    """One ``name = value`` of a file; ``owner`` is whose settings its place holds, None: any."""

    name: str
    value: object
    line: int
    owner: str | None


@dataclass
class Document:
    """A file: its entries, and the first line of each table that it names."""

    entries: list[Entry] = field(default_factory=list)
    tables: dict[str, int] = field(default_factory=dict)


def at(path: Path, line: int, reason: str) -> ConfigError:
    """The refusal of a line; ``reason`` gets a full stop unless it ends as a question."""
    return ConfigError(f"{path}, line {line}: {reason}{'' if reason.endswith('?') else '.'}")


def read(path: Path, *, required: bool) -> Document:
    """The file's entries; none when there is no file and none is ``required``.

    Raises:
        ConfigError: it cannot be read, is not written in its form (TOML by the suffix ``.toml``,
            else ``NAME = value``) or sets a name twice.
    """
    data = _bytes(path, required=required)
    if data is None:
        return Document()
    text = _text(path, data)
    document = _toml(path, text) if path.suffix == ".toml" else _python(path, text)
    first: dict[tuple[str | None, str], int] = {}
    for entry in document.entries:
        place = (entry.owner, entry.name)
        if place in first:
            reason = f"{entry.name} is set here and already on line {first[place]}; remove one"
            raise at(path, entry.line, reason)
        first[place] = entry.line
    return document


def _bytes(path: Path, *, required: bool) -> bytes | None:
    try:
        # Asked before it is opened: opening a pipe would wait for somebody to write into it.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError(f"{path} is not a file; name a regular file with settings.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        # A link that leads nowhere was put there by somebody who expects it to be read.
        if required or path.is_symlink():
            raise ConfigError(
                f"{path} does not exist; create it or correct EPORTAL_CONFIG."
            ) from None
        return None
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}); make it readable for this user."
        ) from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_BYTES} bytes; it is not a configuration.")
    return data


def _text(path: Path, data: bytes) -> str:
    if data.startswith(b"\xef\xbb\xbf"):
        raise at(path, 1, "the file starts with a byte order mark; save it as UTF-8 without one")
    if b"\0" in data:
        raise at(path, _line(data, data.index(b"\0")), "NUL bytes are not text; remove them")
    try:
        return data.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = _line(data, error.start)
        raise at(path, line, "this is not UTF-8; save the file in that encoding") from None


def _line(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


def _python(path: Path, text: str) -> Document:
    document = Document()
    for first, statement in statements(text.replace("\r", "\n"), PYTHON):
        try:
            for name, value, line in assignments(statement):
                document.entries.append(Entry(name, value, first + line - 1, None))
        except BadValue as reason:
            raise at(path, first + reason.line - 1, str(reason)) from None
    return document


def _toml(path: Path, text: str) -> Document:
    document = Document()
    owner = CORE_OWNER
    for first, statement in statements(text, TOML):
        parsed = _toml_statement(path, first, statement)
        if statement.lstrip().startswith("["):
            (owner,) = parsed
            if parsed != {owner: {}}:
                raise at(path, first, "a table is named after one plugin, as in [firmware]")
            if document.tables.setdefault(owner, first) != first:
                reason = f"[{owner}] stands here and already on line {document.tables[owner]}"
                raise at(path, first, f"{reason}; make them one table")
        else:
            document.entries.extend(_toml_entries(parsed, first, owner, document))
    return document


def _toml_statement(path: Path, first: int, statement: str) -> dict[str, object]:
    try:
        # Without its last line break, so that "ends too early" is said of this line.
        return tomli.loads(statement.rstrip("\n"))
    except tomli.TOMLDecodeError as error:
        raise at(path, first + error.lineno - 1, f"this is not TOML ({error.msg})") from None
    except (ValueError, RecursionError):  # thousands of digits, hundreds of brackets
        raise at(path, first, "a value is too long or nested too deeply") from None


def _toml_entries(
    parsed: dict[str, object], line: int, owner: str, document: Document
) -> Iterator[Entry]:
    for name, value in parsed.items():
        if owner == CORE_OWNER and isinstance(value, dict):  # firmware.NAME = …, firmware = {…}
            document.tables.setdefault(name, line)
            for inner, inner_value in value.items():
                yield Entry(inner, inner_value, line, name)
        else:
            yield Entry(name, value, line, owner)
