"""``kc.eportal user`` and ``kc.eportal api-key``: as documented, and what they refuse."""

from __future__ import annotations

import errno
import os
import pty
import re
import sqlite3
import subprocess
import threading
from collections.abc import Sequence
from contextlib import closing

import pytest
import requests

from eportal_core import db
from eportal_core.auth import passwords
from eportal_core.errors import Conflict
from eportal_core.models import Change, User
from eportal_core.operations import users
from eportal_core.portal import Portal
from tests.support.commands import CommandLine
from tests.support.helptext import contains_in_order, parse
from tests.support.inprocess import InProcess
from tests.support.serving import Served

#: Quoted from the vendor's documents; the indentation that a copy lost is restored.
USER = """\
usage: kc.eportal user [-h] [-a] [-c] [-d] [-p PASSWORD] [-r {admin,readonly}] [--note NOTE] [user]

list available users by default

positional arguments:
  user                  user name

optional arguments:
  -h, --help            show this help message and exit
  -a                    action: add new user
  -c                    action: change user
  -d                    action: delete user
  -p PASSWORD, --password PASSWORD
  -r {admin,readonly}, --role {admin,readonly}
  --note NOTE           description
"""

NO_NAME = (
    "The name of a user may not be empty or all dots, has no blank before or behind it, no colon "
    "and no slash."
)
TABLE = """\
Id | Username | Role     | Backend | Description
-- + -------- + -------- + ------- + ------------
 1 | admin    | admin    | local   |
 2 | ann      | readonly | local   | of the north
"""


def test_user_help(kc: InProcess) -> None:
    ours, documented = parse(kc.ok("user", "--help")), parse(USER)
    assert contains_in_order(ours.usage, documented.usage)
    assert ours.description == documented.description
    assert ours.sections["positional arguments"] == documented.sections["positional arguments"]
    for option, sentence in documented.options.items():
        # What has no sentence there has one here.
        assert ours.options[option] == sentence or (not sentence and ours.options[option])
    assert ours.options.keys() - documented.options.keys() == {"--json"}


def test_documented_commands(kc: InProcess) -> None:
    assert kc.ok("user", "-a", "-p", "AdminPassword", "admin") == ""
    assert kc.ok("user", "-a", "-p", "other-password", "other") == ""
    assert is_password("admin", "AdminPassword", kc)
    assert kc.ok("user", "-c", "-p", "NewPassword", "admin") == ""
    assert is_password("admin", "NewPassword", kc)
    assert kc.ok("user", "-c", "-r", "readonly", "admin") == ""
    assert [(row["username"], row["role"]) for row in kc.json("user")] == [
        ("admin", "readonly"),
        ("other", "admin"),
    ]


def test_the_older_form_adds_an_administrator(kc: InProcess) -> None:
    assert kc.ok("-a", "api-user", "-p", "secret-word") == ""
    (row,) = kc.json("user")
    assert (row["username"], row["role"]) == ("api-user", "admin")
    assert is_password("api-user", "secret-word", kc)
    # In any order.
    kc.ok("-p", "secret-word", "-a", "second")
    assert is_password("second", "secret-word", kc)


def test_listing_is_a_table(kc: InProcess) -> None:
    kc.ok("user", "-a", "-p", "AdminPassword", "admin")
    kc.ok("user", "-a", "-p", "12345", "-r", "readonly", "--note", "of the north", "ann")
    assert kc.ok("user") == TABLE
    (row,) = kc.json("user", "ann")
    assert row["description"] == "of the north"
    assert re.fullmatch(r"\d{4}(-\d\d){2} \d\d(:\d\d){2}\.\d{6}", row["created"])


def is_password(username: str, password: str, kc: InProcess) -> bool:
    with closing(sqlite3.connect(kc.data_dir / db.FILE_NAME)) as database:
        row = database.execute("SELECT password FROM user WHERE username = ?", [username])
        return passwords.is_right(password, row.fetchone()[0])


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> InProcess:
    """A portal with the administrator ``admin``, that tests share: each sees that it stays so."""
    made = InProcess(tmp_path_factory.mktemp("settled") / "var")
    made.ok("user", "-a", "-p", "AdminPassword", "admin")
    made.ok("user", "-a", "-p", "12345", "-r", "readonly", "ann")
    return made


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["-a", "-p", "12345", "admin"], 1, "User admin exists already."),
        (["-a", "-p", "1234", "new"], 2, "The password must have at least 5 characters."),
        (["-c", "-p", "1234", "ann"], 2, "The password must have at least 5 characters."),
        (["-a", "-p", "x" * 1001, "new"], 2, "The password may have at most 1000 characters."),
        (["-a", "-p", "12345", "a:b"], 2, NO_NAME),
        (["-a", "-p", "12345", "a/b"], 2, NO_NAME),
        (["-a", "-p", "12345", ".."], 2, NO_NAME),
        (["-a", "-p", "12345", " "], 2, NO_NAME),
        (["-a", "-p", "12345", "admin "], 2, NO_NAME),
        (["-a", "-p", "12345", " admin"], 2, NO_NAME),
        (["-a", "-p", "12345", "a\nb"], 2, "The name may have 200 printable characters at most."),
        (["-a", "-p", "12345", "\udcff"], 2, "The name may have 200 printable characters at most."),
        (["-c", "-r", "readonly", "none"], 1, "There is no user none."),
        (["-d", "none"], 1, "There is no user none."),
        (
            ["-d", "admin"],
            1,
            "admin is the only administrator: give another user the role admin first.",
        ),
        (
            ["-c", "-r", "readonly", "admin"],
            1,
            "admin is the only administrator: give another user the role admin first.",
        ),
        (["-a", "-p", "12345"], 2, "the following arguments are required: user"),
        (["-d", "-a", "ann"], 2, "argument -a: not allowed with argument -d"),
        (["-d", "-p", "12345", "ann"], 2, "argument --password: only allowed with -a or -c"),
    ],
)
def test_what_is_refused_changes_nothing(
    settled: InProcess, arguments: list[str], code: int, sentence: str
) -> None:
    said = settled.refused("user", *arguments, code=code)
    assert said == sentence or {said, sentence} == {
        "argument -a: not allowed with argument -d",
        "argument -d: not allowed with argument -a",
    }


def test_the_least_length_is_a_setting(kc: InProcess) -> None:
    longer = {"EPORTAL_AUTH_PASSWORD_MIN_LENGTH": "12"}
    done = kc("user", "-a", "-p", "12345678901", "admin", **longer)
    assert (done.code, done.said) == (2, "The password must have at least 12 characters.")
    kc.ok("user", "-a", "-p", "123456789012", "admin", **longer)


def test_of_two_administrators_who_go_at_once_one_stays(portal: Portal) -> None:
    for name in ("ann", "bob"):
        users.add(portal, name, "12345")
    said: list[object] = []
    start = threading.Barrier(2)

    def go(name: str) -> None:
        with db.connection():
            start.wait()
            try:
                users.remove(portal, name)
            except Conflict as error:
                said.append(error)

    threads = [threading.Thread(target=go, args=[name]) for name in ("ann", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 1
    assert User.select().where(~User.readonly).count() == 1


# Passwords as they are typed


def typed(cli: CommandLine, arguments: Sequence[str], *lines: str) -> tuple[int, str]:
    """Run a command at a terminal and type ``lines``; its exit code and all that was shown."""
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [cli.program, *arguments],
        env=cli.environ,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = b""
    waiting = list(lines)
    while chunk := _read(main):
        shown += chunk
        if waiting and shown.endswith(b": "):
            os.write(main, waiting.pop(0).encode() + b"\n")
    os.close(main)
    return process.wait(timeout=60), shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError as error:
        # Linux says so when the other side has closed.
        if error.errno != errno.EIO:
            raise
        return b""


@pytest.mark.parametrize("arguments", [["user", "-a", "admin"], ["-a", "admin"]])
def test_a_password_is_asked_for_and_not_shown(cli: CommandLine, arguments: list[str]) -> None:
    code, shown = typed(cli, arguments, "s3cret-word", "s3cret-word")
    assert code == 0
    assert "Password: " in shown
    assert "s3cret" not in shown
    assert is_password("admin", "s3cret-word", InProcess(cli.data_dir))


def test_two_that_differ_are_refused(cli: CommandLine) -> None:
    code, shown = typed(cli, ["user", "-a", "admin"], "s3cret-word", "s3cret-world")
    assert code == 2
    assert "The two passwords differ." in shown
    assert cli.json("user") == []


def test_a_name_that_is_taken_is_told_before_a_password_is_asked_for(cli: CommandLine) -> None:
    cli.ok("user", "-a", "-p", "s3cret-word", "admin")
    code, shown = typed(cli, ["user", "-a", "admin"])
    assert code == 1
    assert "User admin exists already." in shown
    assert "Password" not in shown


@pytest.mark.parametrize(
    "arguments", [["user", "-a", "admin"], ["user", "-a", "-p", "-", "admin"], ["-a", "admin"]]
)
def test_a_program_gives_the_password_on_standard_input(
    cli: CommandLine, arguments: list[str]
) -> None:
    subprocess.run(
        [cli.program, *arguments],
        input="s3cret-word\n",
        env=cli.environ,
        text=True,
        timeout=60,
        check=True,
    )
    assert is_password("admin", "s3cret-word", InProcess(cli.data_dir))


def test_a_password_is_in_no_log_and_no_listing(portal: Portal, kc: InProcess) -> None:
    said = [
        kc("user", "-a", "-p", "s3cret-word", "admin"),
        kc("user", "-c", "-p", "s3cret-again", "admin"),
        kc("user", "-c", "-p", "s3c", "admin"),
        kc("user", "-a", "-p", "s3cret-word", "admin"),
        kc("user"),
        kc("user", "--json"),
        kc("log"),
        kc("log", "--json"),
        kc("log", "--csv"),
    ]
    everything = "".join(done.out + done.err for done in said)
    everything += repr(list(Change.select().dicts()))
    assert "s3c" not in everything
    assert "$argon2" not in everything
    assert '"password":[null,"changed"]' in kc.ok("log", "--csv").replace('""', '"')


# API keys


def test_an_api_key_is_made_listed_and_deleted(kc: InProcess) -> None:
    kc.ok("user", "-a", "-p", "12345", "ann")
    token = kc.ok("api-key", "-a", "--user", "ann", "--write", "--days", "30", "deploys")
    assert re.fullmatch("[A-Za-z0-9_-]{43}\n", token)
    (row,) = kc.json("api-key")
    assert (row["user"], row["name"], row["scope"]) == ("ann", "deploys", "write")
    assert row["expires"] > row["created"]
    assert token.strip() not in kc.ok("api-key") + kc.ok("log", "--json")
    assert kc.ok("api-key", "-d", row["id"]) == ""
    assert kc.json("api-key", "--user", "ann") == []


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["-a", "--user", "none", "ci"], 1, "There is no user none."),
        (["-a", "--user", "admin", " "], 2, "An API key needs a name, which tells what it is for."),
        (
            ["-a", "--user", "admin", "--feed", "none", "ci"],
            1,
            "There is no feed none: kc.eportal feed lists them.",
        ),
        (["-a", "--user", "admin", "--product", "none", "ci"], 1, "There is no product none."),
        (
            ["-a", "--user", "admin", "--days", "0", "ci"],
            2,
            "An API key lives for 1 to 36500 days, or for ever.",
        ),
        (["-a", "ci"], 2, "the following arguments are required: --user"),
        (["-a", "--user", "admin"], 2, "the following arguments are required: key"),
        (["-d"], 2, "the following arguments are required: key"),
        (["-d", "none"], 1, "There is no API key none."),
        (["--user", "none"], 1, "There is no user none."),
        (["--write"], 2, "arguments --write, --product, --feed, --days: only with -a"),
    ],
)
def test_what_an_api_key_cannot_be(
    settled: InProcess, arguments: list[str], code: int, sentence: str
) -> None:
    assert settled.refused("api-key", *arguments, code=code) == sentence


def test_an_api_key_of_the_command_line_opens_the_api(served: Served) -> None:
    """And another header may bring it."""
    served.cli.ok("user", "-a", "-p", "12345", "ann")
    token = served.cli.ok("api-key", "-a", "--user", "ann", "ci").strip()
    url = f"{served.url}/admin/api/whoami"
    answer = requests.get(url, headers={"X-Api-Key": token}, timeout=10).json()
    assert (answer["username"], answer["readonly"], answer["means"]) == ("ann", True, "API key ci")
    (row,) = served.cli.json("api-key")
    assert row["used"] is not None
