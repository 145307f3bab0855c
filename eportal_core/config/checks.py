"""Whether a value fits its setting, and what a text of the environment means for it."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from eportal_core.config.literal import NOT_IN_RANGE, BadValue, evaluate, in_range
from eportal_core.settings import Setting

#: The types a setting may have, and how to write a value of each.
TYPES: dict[type, str] = {
    bool: "True or False (true or false in TOML)",
    int: "a whole number without quotes",
    float: "a number without quotes",
    str: "a text in quotes",
    list: "a list of texts such as ['a', 'b']",
}
_FOUND = {
    bool: "a truth value",
    int: "a whole number",
    float: "a number with a fraction (// divides whole numbers)",
    str: "a text",
    list: "a list",
    dict: "a table",
    type(None): "None",
}
_WORDS = {"true": True, "yes": True, "on": True, "1": True} | {
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
#: What no file name, header or terminal takes: NUL, and halves of characters.
_BAD_TEXT = re.compile("[\0\ud800-\udfff]")


def check(setting: Setting, value: object) -> object:
    """``value`` as the setting keeps it: an int becomes a float where a float is wanted.

    Raises:
        BadValue: wrong type, out of bounds, empty, or not an absolute path; the value itself is
            never quoted, it may be a secret.
    """
    if value is None and setting.default is None:
        return None
    if setting.type is float and type(value) is int:
        value = float(value)
    if type(value) is not setting.type:
        raise _wrong_type(setting, value)
    if isinstance(value, list):
        for item in value:
            if not isinstance(item, str):
                raise _wrong_type(setting, item, "one that holds ")
            _check_text(setting, item)
        return list(value)
    if isinstance(value, str):
        _check_text(setting, value)
    elif isinstance(value, int | float):
        _check_number(setting, value)
    return value


def from_text(setting: Setting, text: str) -> object:
    """The value that a text of the environment stands for, checked.

    Empty means "not set" where None is the default; lists are Python literals or ``a, b``.

    Raises:
        BadValue: the text is no such value.
    """
    if not text and setting.default is None:
        return None
    if setting.type is str:
        return check(setting, text)
    if setting.type is bool:
        word = text.strip().lower()
        if word not in _WORDS:
            raise BadValue(f"{setting.name} must be one of {', '.join(_WORDS)}")
        return _WORDS[word]
    if setting.type is list and not text.lstrip().startswith(("[", "(")):
        return check(setting, [item.strip() for item in text.split(",") if item.strip()])
    try:
        value = evaluate(text)
    except BadValue as reason:
        raise BadValue(f"{setting.name} must be {TYPES[setting.type]}, but {reason}") from None
    return check(setting, value)


def limits(setting: Setting) -> str:
    """The bounds of a number, in words; empty when it has none."""
    if setting.minimum is not None and setting.maximum is not None:
        return f"from {setting.minimum} to {setting.maximum}"
    if setting.minimum is not None:
        return f"at least {setting.minimum}"
    if setting.maximum is not None:
        return f"at most {setting.maximum}"
    return ""


def _wrong_type(setting: Setting, value: object, what: str = "") -> BadValue:
    found = _FOUND.get(type(value), "something else")
    return BadValue(f"{setting.name} must be {TYPES[setting.type]}, not {what}{found}")


def _check_text(setting: Setting, text: str) -> None:
    if _BAD_TEXT.search(text):
        raise BadValue(f"{setting.name} contains a character that no text may have")
    # An empty HOST would listen on every address, an empty DATA_DIR mean the current directory.
    if not text and setting.default != "":
        raise BadValue(f"{setting.name} must not be empty; leave the setting out instead")
    if setting.absolute and not PurePosixPath(text).is_absolute():
        raise BadValue(f"{setting.name} must be an absolute path, one that starts with /")


def _check_number(setting: Setting, number: int | float) -> None:
    if not in_range(number):
        raise BadValue(f"{setting.name} is {NOT_IN_RANGE}")
    too_small = setting.minimum is not None and number < setting.minimum
    too_large = setting.maximum is not None and number > setting.maximum
    if too_small or too_large:
        raise BadValue(f"{setting.name} must be {limits(setting)}")
