"""Settings that change while the portal runs: ``kc.eportal config set``, and config.json."""

from __future__ import annotations

import json
import os
import pty
import re
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import requests

from eportal_core import db
from eportal_core.config import Config, Setting, load
from eportal_core.errors import ConfigError, InvalidValue
from eportal_core.operations import settings
from tests.support.commands import CommandLine
from tests.support.inprocess import InProcess
from tests.support.opening import opened
from tests.support.serving import serving
from tests.support.sources import make_source

PLUGINS = {
    "firmware": [
        Setting("FIRMWARE_LIMIT", int, 5, "Number of things.", minimum=1, runtime=True),
        Setting("FIRMWARE_STRICT", bool, False, "Whether.", runtime=True),
        Setting("FIRMWARE_PASSWORD", str, None, "Password.", secret=True, runtime=True),
        Setting("FIRMWARE_FIXED", int, 1, "Number of other things."),
    ]
}
URL = "http://patches.example.com"


def running(data_dir: Path, **environ: str) -> Config:
    """The settings as a process has them that starts now."""
    clean = {"EPORTAL_DATA_DIR": str(data_dir), "EPORTAL_CONFIG": str(data_dir / "file")}
    data_dir.mkdir(exist_ok=True)
    (data_dir / "file").touch()
    return load(PLUGINS, {**clean, **environ})


def write(data_dir: Path, content: object) -> Path:
    """Put a config.json in its place, as an editor does."""
    path = data_dir / "config" / "config.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name("edited")
    new.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    new.replace(path)
    return path


# From the command line


def test_set_shows_the_value_and_where_it_is_kept(kc: InProcess) -> None:
    path = kc.data_dir / "config" / "config.json"
    said = kc.ok("config", "set", "PATCH_SOURCE_URL", URL)
    assert said.endswith(f"PATCH_SOURCE_URL = '{URL}'  # {path}\n")
    assert f"PATCH_SOURCE_URL = '{URL}'  # {path}\n" in kc.ok("config")
    (row,) = [row for row in kc.json("config") if row["name"] == "PATCH_SOURCE_URL"]
    assert (row["value"], row["source"]) == (repr(URL), str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_unset_brings_the_default_back(kc: InProcess) -> None:
    kc.ok("config", "set", "PATCH_SOURCE_URL", URL)
    assert "PATCH_SOURCE_URL = None  # default" in kc.ok("config", "unset", "PATCH_SOURCE_URL")
    assert "PATCH_SOURCE_URL = None  # default" in kc.ok("config", "unset", "PATCH_SOURCE_URL")


def test_lists_are_written_as_in_the_environment(kc: InProcess) -> None:
    for text in ("debian12, almalinux9", "['debian12', 'almalinux9']"):
        said = kc.ok("config", "set", "PATCH_SOURCE_DISTROS", text)
        assert "PATCH_SOURCE_DISTROS = ['debian12', 'almalinux9']" in said
    assert "PATCH_SOURCE_DISTROS = []" in kc.ok("config", "set", "PATCH_SOURCE_DISTROS", "")


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_is_read_from_standard_input_and_never_shown(
    cli: CommandLine, ending: str
) -> None:
    done = subprocess.run(
        [cli.program, "config", "set", "PATCH_SOURCE_PASSWORD", "-"],
        input=f" s3cret wörd{ending}",
        env=cli.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    everything = done.stdout + done.stderr + cli.ok("config") + cli.ok("config", "--json")
    assert "s3cret" not in everything
    assert "PATCH_SOURCE_PASSWORD = ********" in everything
    kept = json.loads((cli.data_dir / "config" / "config.json").read_text())
    assert kept == {"PATCH_SOURCE_PASSWORD": " s3cret wörd"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["set", "PORT", "80"], "PORT does not change while the portal runs; set it in "),
        (["unset", "PORT"], "PORT does not change while the portal runs"),
        (["set", "PATCH_SOURCE_URI", "x"], "There is no setting PATCH_SOURCE_URI"),
        (["set", "PATCH_SOURCE_ROOT", "here"], "PATCH_SOURCE_ROOT must be an absolute path"),
        (["set", "PATCH_SOURCE_USER", "a\udcffb"], "PATCH_SOURCE_USER contains a character"),
        (["set", "PATCH_SOURCE_USER", "a:b"], "PATCH_SOURCE_USER is a user name, and none has"),
        (["set", "PATCH_SOURCE_URL", "patches"], "PATCH_SOURCE_URL must be an address such as"),
        (["set", "PATCH_SOURCE_URL", "ftp://a/b"], "PATCH_SOURCE_URL must be an address such as"),
        (["set", "PATCH_SOURCE_URL", "http://["], "PATCH_SOURCE_URL must be an address such as"),
        (["set", "PATCH_SOURCE_URL", "http://a/ b"], "PATCH_SOURCE_URL must be an address such as"),
        (["set", "PATCH_SOURCE_URL", "https://u:hush@a/"], "PATCH_SOURCE_URL holds a user name"),
        (
            ["set", "PATCH_SOURCE_FINGERPRINT", "12"],
            "The fingerprint of a patch source is a sha256",
        ),
        (["set", "PATCH_SOURCE_ROOT", "/none.json"], "/none.json cannot be read: No such file"),
        (["set", "PATCH_SOURCE_ROOT", __file__], "is no root.json of a patch source"),
        (["set", "PATCH_SOURCE_USER"], "the following arguments are required: value"),
    ],
)
def test_what_cannot_be_set_changes_nothing(
    kc: InProcess, arguments: list[str], sentence: str
) -> None:
    kc.ok("config", "set", "PATCH_SOURCE_USER", "portal")
    before = (kc.data_dir / "config" / "config.json").read_bytes()
    done = kc("config", *arguments)
    assert done.code != 0
    assert sentence in done.said
    assert "hush" not in done.err + done.out
    assert (kc.data_dir / "config" / "config.json").read_bytes() == before


def test_only_one_setting_may_say_what_is_trusted(kc: InProcess, tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", ["kernel"])
    kc.ok("config", "set", "PATCH_SOURCE_FINGERPRINT", source.fingerprint)
    assert "may not both be set" in kc("config", "set", "PATCH_SOURCE_ROOT", source.root).said
    kc.ok("config", "unset", "PATCH_SOURCE_FINGERPRINT")
    kc.ok("config", "set", "PATCH_SOURCE_ROOT", source.root)
    done = kc("config", "set", "PATCH_SOURCE_FINGERPRINT", source.fingerprint)
    assert "may not both be set" in done.said


def test_two_that_come_together_are_looked_at_together(kc: InProcess, tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", ["kernel"])
    kc.ok("config", "set", "PATCH_SOURCE_FINGERPRINT", source.fingerprint)
    config = load({}, {"EPORTAL_DATA_DIR": str(kc.data_dir)})
    portal = replace(opened(kc.data_dir), config=config)
    root, fingerprint = "PATCH_SOURCE_ROOT", "PATCH_SOURCE_FINGERPRINT"
    with db.connection():
        settings.put_all(portal, {root: str(source.root), fingerprint: None})
        assert (config[root], config[fingerprint]) == (str(source.root), None)
        settings.drop(portal, root)
        with pytest.raises(InvalidValue, match="may not both be set"):
            settings.put_all(portal, {root: str(source.root), fingerprint: source.fingerprint})
    db.close()


@pytest.mark.parametrize(
    ("value", "typed", "kept"), [([], "s3cret\n", "s3cret"), (["-"], "s3cret\n", "s3cret")]
)
def test_a_terminal_is_asked_and_shows_nothing(
    cli: CommandLine, value: list[str], typed: str, kept: str
) -> None:
    shown, done = at_terminal(cli, ["config", "set", "PATCH_SOURCE_PASSWORD", *value], typed)
    assert done == 0
    assert "PATCH_SOURCE_PASSWORD: " in shown
    assert "s3cret" not in shown
    told = json.loads((cli.data_dir / "config" / "config.json").read_text())
    assert told == {"PATCH_SOURCE_PASSWORD": kept}


def test_a_terminal_that_says_nothing_sets_nothing(cli: CommandLine) -> None:
    shown, done = at_terminal(cli, ["config", "set", "PATCH_SOURCE_PASSWORD"], "\4")
    assert done != 0
    assert "Traceback" not in shown
    assert not (cli.data_dir / "config" / "config.json").exists()


def at_terminal(cli: CommandLine, arguments: list[str], typed: str) -> tuple[str, int]:
    """What a terminal shows when ``typed`` is typed at the prompt, and the exit code."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(cli.program, [cli.program, *arguments], cli.environ)
    shown = b""
    with os.fdopen(terminal, "r+b", buffering=0) as screen, suppress(OSError):
        while piece := screen.read(4096):
            shown += piece
            if shown.endswith(b": ") and typed:
                screen.write(typed.encode())
                typed = ""
    return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_value_that_is_refused_is_not_told(kc: InProcess) -> None:
    done = kc("config", "set", "PATCH_SOURCE_PASSWORD", "s3cret\udc80")
    assert done.code != 0
    assert "s3cret" not in done.err + done.out


def test_many_at_once_lose_nothing(data_dir: Path) -> None:
    config = running(data_dir)
    portal = replace(opened(data_dir), config=config)
    names = ["FIRMWARE_LIMIT", "FIRMWARE_STRICT", "PATCH_SOURCE_USER", "FIRMWARE_PASSWORD"]

    def set_often(name: str) -> None:
        with db.connection():
            for _ in range(20):
                settings.put(portal, name, "1")

    threads = [threading.Thread(target=set_often, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    db.close()
    assert [config[name] for name in names] == [1, True, "1", "1"]


# Which value counts


def test_environment_beats_file_beats_config_json_beats_default(data_dir: Path) -> None:
    path = write(data_dir, {"FIRMWARE_LIMIT": 3})
    config = running(data_dir)
    assert (config["FIRMWARE_LIMIT"], config.value("FIRMWARE_LIMIT").source) == (3, str(path))
    (data_dir / "file").write_text("FIRMWARE_LIMIT = 2\n")
    config = running(data_dir)
    assert config["FIRMWARE_LIMIT"] == 2
    assert config.value("FIRMWARE_LIMIT").source == f"{data_dir / 'file'}:1"
    config = running(data_dir, EPORTAL_FIRMWARE_LIMIT="1")
    assert config["FIRMWARE_LIMIT"] == 1
    write(data_dir, {"FIRMWARE_LIMIT": 9})
    assert config["FIRMWARE_LIMIT"] == 1


def test_set_tells_when_something_else_wins(kc: InProcess) -> None:
    said = kc.ok("config", "set", "PATCH_SOURCE_USER", "b", EPORTAL_PATCH_SOURCE_USER="a")
    assert "PATCH_SOURCE_USER = 'a'  # environment (EPORTAL_PATCH_SOURCE_USER)" in said


# While the portal runs


def test_a_running_process_sees_what_was_set_and_unset(data_dir: Path) -> None:
    config = running(data_dir)
    for value in (7, 8, 7):
        write(data_dir, {"FIRMWARE_LIMIT": value, "FIRMWARE_STRICT": True})
        assert (config["FIRMWARE_LIMIT"], config["FIRMWARE_STRICT"]) == (value, True)
    (data_dir / "config" / "config.json").unlink()
    assert (config["FIRMWARE_LIMIT"], config["FIRMWARE_STRICT"]) == (5, False)


def test_another_process_sees_it(cli: CommandLine) -> None:
    code = (
        "import os, sys\nfrom eportal_core.config import load\n"
        "config = load({}, dict(os.environ))\n"
        "for _ in sys.stdin:\n    print(config['PATCH_SOURCE_USER'], flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=cli.environ,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for name in ("a", "b"):
            cli.ok("config", "set", "PATCH_SOURCE_USER", name)
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{name}\n"
        process.stdin.close()


def test_other_settings_cost_no_look_at_the_disk(data_dir: Path) -> None:
    config = running(data_dir)
    with mock.patch.object(Path, "stat", side_effect=AssertionError("looked")):
        assert config["FIRMWARE_FIXED"] == 1
        assert config["PORT"] == 8142
        with pytest.raises(AssertionError, match="looked"):
            config["FIRMWARE_LIMIT"]


DAMAGED = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    b'{"FIRMWARE_LIMIT":3',
    b"[" * 9999,
    b" " * 2**21,
]


@pytest.mark.parametrize("content", DAMAGED, ids=lambda content: repr(content[:20]))
def test_a_damaged_file_stops_a_start_and_not_a_running_process(
    data_dir: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    write(data_dir, {"FIRMWARE_LIMIT": 3, "FIRMWARE_PASSWORD": "s3cret"})
    config = running(data_dir)
    path = write(data_dir, content)
    with pytest.raises(
        ConfigError, match=rf"^{re.escape(str(path))}: .*mend it, or remove it.*\.$"
    ):
        running(data_dir)
    for _ in range(3):
        assert config["FIRMWARE_LIMIT"] == 3
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert str(path) in caplog.text
    assert "s3cret" not in caplog.text
    write(data_dir, {"FIRMWARE_LIMIT": 4})
    assert config["FIRMWARE_LIMIT"] == 4


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"FIRMWARE_LIMT": 3}, "FIRMWARE_LIMT is no setting .*did you mean FIRMWARE_LIMIT?"),
        ({"PORT": 3}, "PORT cannot be set here, only in the configuration file."),
        ({"FIRMWARE_LIMIT": "3"}, "FIRMWARE_LIMIT must be a whole number"),
        ({"FIRMWARE_LIMIT": 0}, "FIRMWARE_LIMIT must be at least 1."),
        ({"PATCH_SOURCE_DISTROS": [1]}, "PATCH_SOURCE_DISTROS must be a list of texts"),
        ({"FIRMWARE_LIMIT": 1e300}, "FIRMWARE_LIMIT"),
        ({"FIRMWARE_STRICT": None}, "FIRMWARE_STRICT must be True or False"),
    ],
)
def test_what_is_not_understood_names_the_file(
    data_dir: Path, content: object, sentence: str
) -> None:
    path = write(data_dir, content)
    with pytest.raises(ConfigError, match=f"^{re.escape(str(path))}: {sentence}"):
        running(data_dir)


def test_a_secret_of_the_wrong_type_is_not_told(data_dir: Path) -> None:
    write(data_dir, {"FIRMWARE_PASSWORD": ["s3cret"]})
    with pytest.raises(ConfigError) as caught:
        running(data_dir)
    assert "s3cret" not in str(caught.value)


def test_a_damaged_file_is_a_sentence_on_the_command_line(kc: InProcess) -> None:
    path = write(kc.data_dir, b"{")
    for command in (["config"], ["config", "set", "PATCH_SOURCE_USER", "a"], ["feed"]):
        done = kc(*command)
        assert done.code == 2
        assert str(path) in done.said
    assert path.read_bytes() == b"{"


def test_a_portal_that_serves_outlives_a_damaged_file(data_dir: Path) -> None:
    with serving(data_dir) as portal:
        portal.cli.ok("config", "set", "PATCH_SOURCE_USER", "a")
        write(data_dir, b"{")
        for path in ("/readyz", "/admin/"):
            assert requests.get(f"{portal.url}{path}", timeout=10).ok


# What others must not do


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_may_write_is_refused(data_dir: Path, mode: int) -> None:
    write(data_dir, {"PATCH_SOURCE_URL": URL}).chmod(mode)
    with pytest.raises(ConfigError, match=r"others may write it; .*chmod 600"):
        running(data_dir)


def test_a_running_process_keeps_its_settings_when_others_may_write_the_file(
    data_dir: Path,
) -> None:
    path = write(data_dir, {"FIRMWARE_LIMIT": 7})
    path.chmod(0o600)
    config = running(data_dir)
    path.write_text('{"FIRMWARE_LIMIT": 8}')
    path.chmod(0o666)
    assert config["FIRMWARE_LIMIT"] == 7
    path.chmod(0o600)
    assert config["FIRMWARE_LIMIT"] == 8


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_somebody_else_is_refused(data_dir: Path) -> None:
    os.chown(write(data_dir, {"PATCH_SOURCE_URL": URL}), 65534, 65534)
    with pytest.raises(ConfigError, match="it belongs to the user 65534"):
        running(data_dir)


def test_a_password_in_an_address_is_not_shown(kc: InProcess) -> None:
    write(kc.data_dir, {"PATCH_SOURCE_URL": "http://portal:hush@patches.example.com/x"})
    said = kc.ok("config") + kc.ok("config", "--json")
    assert "hush" not in said
    assert "PATCH_SOURCE_URL = 'http://********@patches.example.com/x'" in said
