"""What an operator notices of the settings: values, where they came from, and refusals."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from eportal_core.config import Config, Setting, Value, load, loader, reference
from eportal_core.errors import ConfigError
from eportal_core.plugins import load as load_plugins

ROOT = Path(__file__).parent.parent
PLUGINS = {
    "kernelcare": [
        Setting("KPATCH_LIMIT", int, 5, "Number of things.", minimum=1),
        Setting("KPATCH_NAMES", list, ["a"], "Names."),
        Setting("KPATCH_STRICT", bool, False, "Whether."),
    ],
    "auth_ldap": [
        Setting("LDAP_PASSWORD", str, None, "Password.", secret=True),
        Setting("LDAP_TIMEOUT", float, None, "Seconds to wait.", maximum=60),
    ],
}
Read = Callable[..., Config]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Writes a file and loads it, with the settings of PLUGINS declared."""

    def write_and_load(text: str | bytes, name: str = "config", **environ: str) -> Config:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(PLUGINS, {"EPORTAL_CONFIG": str(path), **environ})

    return write_and_load


def refusal(read: Read, text: str | bytes, name: str = "config", **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text, name, **environ)
    return str(caught.value)


def value_of(config: Config, name: str) -> Value:
    return next(value for value in config.values() if value.setting.name == name)


# Where a value comes from


def test_environment_beats_file_and_file_beats_default(read: Read, tmp_path: Path) -> None:
    text = "# ours\nPORT = 1000\nADMIN_PORT = 2000\n"
    config = read(text, EPORTAL_PORT="3000", PATH="/bin")
    file = tmp_path / "config"
    assert config.path == file
    assert (config["PORT"], value_of(config, "PORT").source) == (3000, "environment (EPORTAL_PORT)")
    assert (config["ADMIN_PORT"], value_of(config, "ADMIN_PORT").source) == (2000, f"{file}:3")
    assert (config["HOST"], value_of(config, "HOST").source) == ("127.0.0.1", "default")


def test_values_are_the_cores_first_then_each_plugins_by_name(read: Read) -> None:
    listed = [(value.owner, value.setting.name) for value in read("").values()]
    assert listed[0] == ("core", "ADMIN_PORT")
    assert listed == sorted(listed, key=lambda pair: (pair[0] != "core", pair))
    assert listed[-1] == ("kernelcare", "KPATCH_STRICT")


def test_a_missing_default_file_means_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "DEFAULT_PATH", tmp_path / "config")
    assert load({}, {})["PORT"] == 8142
    (tmp_path / "config").write_text("PORT = 1\n")
    assert load({}, {})["PORT"] == 1


def test_a_default_file_that_is_a_dangling_link_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "DEFAULT_PATH", tmp_path / "config")
    (tmp_path / "config").symlink_to("elsewhere")
    with pytest.raises(ConfigError, match="config does not exist"):
        load({}, {})


def test_a_relative_name_of_the_file_is_taken_from_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "portal.toml").write_text("PORT = 1\n")
    monkeypatch.chdir(tmp_path)
    config = load({}, {"EPORTAL_CONFIG": "portal.toml"})
    assert value_of(config, "PORT").source == f"{tmp_path}/portal.toml:1"


def test_the_data_directory_holds_the_patches_unless_told_otherwise(read: Read) -> None:
    config = read("DATA_DIR = '/srv/a'", EPORTAL_DATA_DIR="/srv/b")
    assert (config.data_dir, config.patches_dir) == (Path("/srv/b"), Path("/srv/b"))
    config = read("DATA_DIR = '/srv/a'\nPATCHES_DIR = '/mnt/large'")
    assert (config.data_dir, config.patches_dir) == (Path("/srv/a"), Path("/mnt/large"))


# The Python-like form


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("CLEAN_INACTIVE_SERVERS_PERIOD = 3600 * 24", "CLEAN_INACTIVE_SERVERS_PERIOD", 86400),
        ("CLEAN_INACTIVE_SERVERS_PERIOD = None", "CLEAN_INACTIVE_SERVERS_PERIOD", None),
        ("PORT = (-1 + 17 // 2) * 100 % 1000 - 0x10  # why not", "PORT", 684),
        ("CHECKIN_FLUSH_PERIOD = 1 / 4", "CHECKIN_FLUSH_PERIOD", 0.25),
        ("CHECKIN_FLUSH_PERIOD = 2", "CHECKIN_FLUSH_PERIOD", 2.0),
        ("KPATCH_STRICT = True", "KPATCH_STRICT", True),
        ("HOST = '::' '1'", "HOST", "::1"),
        (r"LDAP_PASSWORD = 'a\$b'", "LDAP_PASSWORD", r"a\$b"),
        ("TRUSTED_PROXIES = ('10.0.0.1',)", "TRUSTED_PROXIES", ["10.0.0.1"]),
        ("TRUSTED_PROXIES = [\n  '::1',  # ]\n  'b']\nPORT = 1", "TRUSTED_PROXIES", ["::1", "b"]),
        ("PORT = 5;\r\nHOST = 'é'\r\n", "HOST", "é"),
        ("PORT = 5\rHOST = 'old mac'", "HOST", "old mac"),
    ],
)
def test_a_file_holds_literals_and_arithmetic(
    read: Read, text: str, name: str, expected: object
) -> None:
    value = read(text)[name]
    assert value == expected
    assert type(value) is type(expected)


def test_lines_are_counted_past_texts_that_look_like_settings(read: Read, tmp_path: Path) -> None:
    config = read('HOST = """x\nPORT = 1\n[\\"\\"\\"""" \\\n  "#"\n\n# [ "\nPORT = 2\n')
    assert config["HOST"] == 'x\nPORT = 1\n["""#'
    assert value_of(config, "PORT").source == f"{tmp_path / 'config'}:7"


@pytest.mark.parametrize(
    "line",
    [
        "import os",
        "PORT = HOST = 1",
        "PORT: int = 1",
        "PORT += 1",
        "PORT, HOST = 1, 'a'",
        "globals()['PORT'] = 1",
        "'a text'",
        "if True: PORT = 1",
        "  PORT = 1",
        "PORT 1",
        "[kernelcare]",
        "HOST = 'not closed",
        "HOST = '''not closed",
        "TRUSTED_PROXIES = ['not closed'",
        "HOST = http://example.com",
    ],
)
def test_other_statements_are_refused_with_their_line(
    read: Read, tmp_path: Path, line: str
) -> None:
    message = refusal(read, f"ADMIN_PORT = 1\n\n{line}\n")
    assert message.startswith(f"{tmp_path / 'config'}, line 3: ")
    assert "NAME = value" in message


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("__import__('os').getpid()", "may stand in a value"),
        ("(lambda: 1)()", "may stand in a value"),
        ("[x for x in '1']", "may stand in a value"),
        ("f'{1}'", "may stand in a value"),
        ("b'1'", "may stand in a value"),
        ("1j", "may stand in a value"),
        ("...", "may stand in a value"),
        ("{'a': 1}", "may stand in a value"),
        ("2 ** 3", "may stand in a value"),
        ("1 << 3", "may stand in a value"),
        ("~1", "may stand in a value"),
        ("1 < 2", "may stand in a value"),
        ("ADMIN_PORT + 1", "bare word"),
        ("true", "bare word"),
        ("'a' * 1000000000", "numbers only"),
        ("[1] * 1000000000", "numbers only"),
        ("'a' + 'b'", "numbers only"),
        ("True + 1", "numbers only"),
        ("-'a'", "numbers only"),
        ("1 / 0", "divides by zero"),
        ("1 // 0", "divides by zero"),
        ("1 % 0.0", "divides by zero"),
        (str(2**63), "too large"),
        ("0x" + "f" * 5000, "too large"),
        ("1e999", "too large"),
        ("9999999999 * 9999999999", "too large"),
        ("-9223372036854775807 - 1", "too large"),
        ("9" * 5000, "cannot be read"),
        ("(" * 1000 + "1" + ")" * 1000, "cannot be read"),
        ("1" + "+1" * 300, "nested too deeply"),
        ("1" + "+1" * 200_000, "nested too deeply"),
        ("-" * 500_000 + "1", "nested too deeply"),
        ("a" + ".b" * 100_000, "nested too deeply"),
    ],
)
@pytest.mark.parametrize("place", ["file", "environment"])
def test_an_expression_is_bounded_and_never_executed(
    read: Read, tmp_path: Path, expression: str, reason: str, place: str
) -> None:
    if place == "file":
        message = refusal(read, f"\nPORT = {expression}\n")
        assert message.startswith(f"{tmp_path / 'config'}, line 2: ")
    else:
        message = refusal(read, "", EPORTAL_PORT=expression)
        assert message.startswith("Environment variable EPORTAL_PORT: PORT must be a whole number")
    assert reason in message
    assert len(message) < 300


# Both forms: names and values


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config", "PORT = 1\nHOST = 'a'\nPORT = 2\n"),
        ("config.toml", "PORT = 1\nHOST = 'a'\nPORT = 1\n"),
        ("config.toml", "PORT = 1\nHOST = 'a'\n'PORT' = 1\n"),
    ],
)
def test_a_name_set_twice_is_refused_with_both_lines(
    read: Read, tmp_path: Path, name: str, text: str
) -> None:
    message = refusal(read, text, name)
    assert message.startswith(f"{tmp_path / name}, line 3: PORT is set here and already on line 1")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("PROT = 1", "did you mean PORT?"),
        ("port = 1", "did you mean PORT?"),
        ("KPATCHLIMIT = 1", "did you mean KPATCH_LIMIT?"),
        ("XYZZY = 1", "that works."),
    ],
)
@pytest.mark.parametrize("name", ["config", "config.toml"])
def test_an_unknown_name_is_refused_with_the_nearest_one(
    read: Read, tmp_path: Path, text: str, hint: str, name: str
) -> None:
    message = refusal(read, f"\n{text}\n", name)
    assert message.startswith(f"{tmp_path / name}, line 2: {text.split()[0]} is no setting")
    assert message.endswith(hint)


@pytest.mark.parametrize(
    ("python", "toml", "reason"),
    [
        ("PORT = '1'", 'PORT = "1"', "PORT must be a whole number without quotes, not a text"),
        ("PORT = True", "PORT = true", "not a truth value"),
        ("PORT = 2.0", "PORT = 2.0", "not a number with a fraction"),
        ("PORT = [1]", "PORT = [1]", "not a list"),
        ("PORT = None", "PORT = 2025-11-19", "not "),
        ("PORT = 0", "PORT = 0", "PORT must be from 1 to 65535"),
        ("PORT = 65536", "PORT = 65536", "PORT must be from 1 to 65535"),
        ("KPATCH_LIMIT = 0", "kernelcare.KPATCH_LIMIT = 0", "must be at least 1"),
        ("LDAP_TIMEOUT = 61", "auth_ldap.LDAP_TIMEOUT = 61", "must be at most 60"),
        ("KPATCH_STRICT = 1", "kernelcare.KPATCH_STRICT = 1", "must be True or False"),
        ("CHECKIN_FLUSH_PERIOD = True", "CHECKIN_FLUSH_PERIOD = true", "must be a number"),
        ("CHECKIN_FLUSH_PERIOD = 9e999", "CHECKIN_FLUSH_PERIOD = nan", "too large"),
        ("HOST = 1", "HOST = 1", "HOST must be a text in quotes, not a whole number"),
        ("HOST = ''", 'HOST = ""', "HOST must not be empty"),
        (r"HOST = 'a\0'", r'HOST = "a\u0000"', "contains a character"),
        (r"HOST = '\ud800'", 'HOST = """\n"""', "HOST "),
        ("DATA_DIR = 'data'", 'DATA_DIR = "data"', "DATA_DIR must be an absolute path"),
        ("PATCHES_DIR = '~/p'", 'PATCHES_DIR = "~/p"', "PATCHES_DIR must be an absolute path"),
        (
            "TRUSTED_PROXIES = '::1'",
            'TRUSTED_PROXIES = "::1"',
            "a list of texts such as ['a', 'b']",
        ),
        ("TRUSTED_PROXIES = [1]", "TRUSTED_PROXIES = [1]", "not one that holds a whole number"),
        ("TRUSTED_PROXIES = ['']", 'TRUSTED_PROXIES = [""]', "must not be empty"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_either_form(
    read: Read, tmp_path: Path, python: str, toml: str, reason: str
) -> None:
    for name, text in (("config", python), ("config.toml", toml)):
        message = refusal(read, f"# one\n{text}\n", name)
        assert message.startswith(f"{tmp_path / name}, line 2: ")
        assert reason in message


def test_a_bad_file_is_refused_even_where_the_environment_wins(read: Read) -> None:
    assert "line 1" in refusal(read, "PORT = 'x'", EPORTAL_PORT="1")


# TOML


def test_toml_has_the_core_at_its_top_and_a_table_for_each_plugin(
    read: Read, tmp_path: Path
) -> None:
    text = (
        'TRUSTED_PROXIES = [\n  "::1", # ]\n]\nHOST = """\\\n  PORT = 1\\\n  """\nPORT = 1_000\n'
        "[kernelcare] # ours\nKPATCH_LIMIT = 7\n\n[auth_ldap]\nLDAP_TIMEOUT = 3\n"
    )
    config = read(text.replace("\n", "\r\n"), "portal.toml")
    assert config["TRUSTED_PROXIES"] == ["::1"]
    assert config["HOST"] == "PORT = 1"
    assert (config["PORT"], value_of(config, "PORT").source) == (
        1000,
        f"{tmp_path / 'portal.toml'}:7",
    )
    assert (config["KPATCH_LIMIT"], value_of(config, "KPATCH_LIMIT").source) == (
        7,
        f"{tmp_path / 'portal.toml'}:9",
    )
    assert config["LDAP_TIMEOUT"] == 3.0


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("PORT = 1\nKPATCH_LIMIT = 2", 2, "move it to the table [kernelcare]"),
        ("[auth_ldap]\nKPATCH_LIMIT = 2", 2, "move it to the table [kernelcare]"),
        ("[kernelcare]\nPORT = 1", 2, "move it above the first table"),
        ("[core]\nPORT = 1", 1, "settings of the core stand above the first table"),
        ("\n[kernel_care]", 2, "did you mean kernelcare?"),
        ("PORT = {a = 1}", 1, "[PORT] names no plugin"),
        ("[kernelcare.more]\nX = 1", 1, "a table is named after one plugin"),
        ("[[kernelcare]]", 1, "a table is named after one plugin"),
        ("[kernelcare]\n\n[kernelcare]", 3, "stands here and already on line 1"),
        ("PORT = 1\nHOST = 'a\n", 2, "this is not TOML"),
        ("PORT = 3600 * 24", 1, "this is not TOML"),
        ("TRUSTED_PROXIES = [\n'a'\n'b'\n]", 3, "this is not TOML"),
        ("PORT = 1\nX = " + "[" * 5000, 2, "nested too deeply"),
        ("PORT = 1\nX = " + "9" * 5000, 2, "too long"),
        ("\nPORT = " + str(2**63), 2, "too large"),
    ],
)
def test_toml_refusals_name_the_line(
    read: Read, tmp_path: Path, text: str, line: int, reason: str
) -> None:
    message = refusal(read, text, "portal.toml")
    assert message.startswith(f"{tmp_path / 'portal.toml'}, line {line}: ")
    assert reason in message


# Files that are none


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"PORT = 1\nHOST = 'a\0'\n", ", line 2: NUL bytes"),
        (b"\xef\xbb\xbfPORT = 1\n", ", line 1: the file starts with a byte order mark"),
        (b"PORT = 1\n\nHOST = '\xe9'\n", ", line 3: this is not UTF-8"),
        ("PORT = 1\n".encode("utf-16"), ", line 1: "),
        (b"#" * (1024 * 1024 + 1), " is larger than 1048576 bytes"),
    ],
)
@pytest.mark.parametrize("name", ["config", "config.toml"])
def test_a_file_that_is_no_text_is_refused(
    read: Read, tmp_path: Path, data: bytes, reason: str, name: str
) -> None:
    assert refusal(read, data, name).startswith(f"{tmp_path / name}{reason}")


def test_a_named_file_must_be_there_and_be_a_file(tmp_path: Path) -> None:
    fifo, loop, file = tmp_path / "fifo", tmp_path / "loop", tmp_path / "file"
    os.mkfifo(fifo)
    loop.symlink_to(loop)
    file.touch()
    for path, reason in (
        (tmp_path / "missing", "does not exist"),
        (tmp_path, "is not a file"),
        (fifo, "is not a file"),
        (loop, "cannot be read"),
        (file / "below", "cannot be read"),
    ):
        with pytest.raises(ConfigError, match=rf"^{re.escape(str(path))} {reason}.*\.$"):
            load({}, {"EPORTAL_CONFIG": str(path)})
    with pytest.raises(ConfigError, match="EPORTAL_CONFIG is empty"):
        load({}, {"EPORTAL_CONFIG": ""})


def test_a_file_that_may_not_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    (tmp_path / "config").touch()
    monkeypatch.setattr(Path, "open", denied)  # root, who may run the tests, reads everything
    with pytest.raises(ConfigError, match=r"config cannot be read \(Permission denied\)"):
        load({}, {"EPORTAL_CONFIG": str(tmp_path / "config")})


# The environment


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("KPATCH_STRICT", "Yes", True),
        ("KPATCH_STRICT", "1", True),
        ("KPATCH_STRICT", "on", True),
        ("KPATCH_STRICT", "false", False),
        ("CLEAN_INACTIVE_SERVERS_PERIOD", " 3600 * 24 ", 86400),
        ("CLEAN_INACTIVE_SERVERS_PERIOD", "", None),
        ("CHECKIN_FLUSH_PERIOD", "2", 2.0),
        ("LDAP_PASSWORD", "'quoted' #", "'quoted' #"),
        ("LDAP_PASSWORD", "", None),
        ("TRUSTED_PROXIES", "10.0.0.1, ::1,", ["10.0.0.1", "::1"]),
        ("TRUSTED_PROXIES", "['10.0.0.1', '::1']", ["10.0.0.1", "::1"]),
        ("TRUSTED_PROXIES", "", []),
    ],
)
def test_the_environment_writes_each_type(
    read: Read, name: str, text: str, expected: object
) -> None:
    value = read("", **{f"EPORTAL_{name}": text})[name]
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("variable", "text", "reason"),
    [
        ("EPORTAL_PROT", "1", "did you mean EPORTAL_PORT?"),
        ("EPORTAL_CONFG", "/etc/x", "did you mean EPORTAL_CONFIG?"),
        ("EPORTAL_", "1", "unset it."),
        ("EPORTAL_URL", "http://portal", "unset it."),
        ("EPORTAL_port", "1", "did you mean EPORTAL_PORT?"),
        ("EPORTAL_PORT", "", "must be a whole number"),
        ("EPORTAL_PORT", "tcp://10.0.0.1:8142", "must be a whole number"),
        ("EPORTAL_PORT", "1\0", "must be a whole number"),
        ("EPORTAL_PORT", "\udce9", "must be a whole number"),
        ("EPORTAL_HOST", "\udce9", "contains a character"),
        ("EPORTAL_HOST", "", "must not be empty"),
        ("EPORTAL_DATA_DIR", "", "must not be empty"),
        ("EPORTAL_DATA_DIR", "data", "must be an absolute path"),
        ("EPORTAL_KPATCH_STRICT", "maybe", "must be one of true, yes, on, 1, false, no, off, 0"),
        ("EPORTAL_TRUSTED_PROXIES", "[1]", "must be a list of texts"),
        ("EPORTAL_TRUSTED_PROXIES", "['a'", "must be a list of texts"),
    ],
)
def test_the_environment_is_refused_by_variable(
    read: Read, variable: str, text: str, reason: str
) -> None:
    message = refusal(read, "", **{variable: text})
    assert message.startswith(f"Environment variable {variable}: ")
    assert reason in message
    assert message.endswith((".", "?"))


# Secrets


def test_a_secret_is_masked_once_it_is_set(read: Read) -> None:
    config = read("LDAP_PASSWORD = 'hunter2'\nHOST = 'h'")
    assert config["LDAP_PASSWORD"] == "hunter2"
    assert value_of(config, "LDAP_PASSWORD").shown() == "********"
    assert value_of(config, "HOST").shown() == "'h'"
    assert value_of(read(""), "LDAP_PASSWORD").shown() == "None"
    assert "hunter2" not in repr(config) + repr(config.values())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config", "LDAP_PASSWORD = hunter2"),
        ("config", "LDAP_PASSWORD = ['hunter2']"),
        ("config", "LDAP_PASSWORD = 'hunter2"),
        ("config", "LDAP_PASSWORD = 'hunter2\\0'"),
        ("config.toml", "auth_ldap.LDAP_PASSWORD = hunter2"),
        ("config.toml", "auth_ldap.LDAP_PASSWORD = ['hunter2']"),
    ],
)
def test_no_refusal_quotes_a_secret(read: Read, name: str, text: str) -> None:
    assert "hunter2" not in refusal(read, text, name)


# Declarations


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ({"a": [Setting("PORT", int, 1, "")]}, "PORT is declared by the core and by the plugin a"),
        (
            {"b": [Setting("X", int, 1, "")], "a": [Setting("X", int, 1, "")]},
            "X is declared by the plugin a and by the plugin b",
        ),
        ({"a": [Setting("CONFIG", str, "x", "")]}, "CONFIG of the plugin a needs another name"),
        ({"a": [Setting("lower", int, 1, "")]}, "lower of the plugin a needs another name"),
        ({"a": [Setting("X", dict, {}, "")]}, "X of the plugin a is declared with a type"),
        ({"a": [Setting("X", int, 1, "", minimum=2)]}, "X of the plugin a has a default"),
        ({"core": []}, "A plugin is named core"),
    ],
)
def test_declarations_that_cannot_work_name_their_owners(
    declared: dict[str, list[Setting]], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        load(declared, {})


# Config as others use it


def test_a_config_can_be_made_without_file_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EPORTAL_PORT", "1")
    config = Config.of(tmp_path, declared=PLUGINS, HOST="h", KPATCH_LIMIT=9)
    assert (config["HOST"], config["KPATCH_LIMIT"], config["PORT"]) == ("h", 9, 8142)
    assert config.data_dir == config.patches_dir == tmp_path
    with pytest.raises(ConfigError, match="no setting PROT"):
        Config.of(tmp_path, PROT=1)
    with pytest.raises(ConfigError, match="PORT must be"):
        Config.of(tmp_path, PORT="1")


def test_a_config_does_not_change(tmp_path: Path) -> None:
    config = Config.of(tmp_path)
    config["TRUSTED_PROXIES"].append("10.0.0.1")
    config.values().clear()
    assert config["TRUSTED_PROXIES"] == ["127.0.0.1", "::1"]
    assert Config.of(tmp_path)["TRUSTED_PROXIES"] == ["127.0.0.1", "::1"]


# The page of settings


def test_the_page_of_settings_is_up_to_date() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    assert page == reference(load_plugins().settings()), "run scripts/document"


def test_the_page_says_of_each_setting_what_an_operator_asks() -> None:
    page = reference(PLUGINS)
    for value in Config.of(ROOT, declared=PLUGINS).values():
        assert f"### `{value.setting.name}`" in page
        assert value.setting.help in page
    assert "Whole number, at least 1, default `5`." in page
    assert "Text, default not set, never shown." in page
    assert "## Settings of kernelcare" in page


@pytest.mark.parametrize(("form", "name"), [("python", "config"), ("toml", "config.toml")])
def test_the_examples_of_the_page_can_be_used(read: Read, form: str, name: str) -> None:
    examples = re.findall(rf"```{form}\n(.*?)```", reference({}), re.DOTALL)
    assert [read(example, name)["CLEAN_INACTIVE_SERVERS_PERIOD"] for example in examples] == [86400]
