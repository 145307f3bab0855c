"""Progress bars on real pseudo-terminals, as whoever sits there sees them."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.commands import CommandLine
from tests.support.patches import WEB
from tests.support.publishing import Publisher
from tests.support.sources import spoil

FIRST, SECOND, THIRD = "K20260101_01", "K20260102_01", "K20260103_01"
LOGGED = re.compile(r"\d{4}-\d\d-\d\d [\d:,]{12} - eportal\.patches - [A-Z]+ - ")


@dataclass
class Terminal:
    """What a command of this portal wrote to a terminal of so many columns, 0 if nobody knows."""

    cli: CommandLine
    columns: int

    def run(self, *arguments: object, code: int = 0) -> list[str]:
        """The rows that are on the screen when a command has ended."""
        with self.running(*arguments) as (process, screen):
            said = b"".join(received(screen)).decode()
        assert process.returncode == code, said
        return rows(said, self.columns)

    @contextmanager
    def running(
        self, *arguments: object, stdout: int | None = None
    ) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        """The process, and the other end of its terminal; ``stdout`` may be somewhere else."""
        screen, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, self.columns, 0, 0))
        process = subprocess.Popen(
            [self.cli.program, *map(str, arguments)],
            env=self.cli.environ,
            stdin=terminal,
            stdout=terminal if stdout is None else stdout,
            stderr=terminal,
        )
        os.close(terminal)
        try:
            yield process, screen
            process.wait(30)
        finally:
            process.kill()
            process.wait()
            os.close(screen)


def received(screen: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(screen, 1 << 16)
        except OSError:  # Linux says so when the last one at the other end has gone
            return
        yield piece


def rows(said: str, columns: int) -> list[str]:
    """What a terminal shows; it breaks what is longer than a row, and knows no escapes at all."""
    shown: list[str] = []
    row = ""
    at = 0
    for character in said:
        if character == "\r":
            at = 0
        elif character == "\n":
            shown.append(row.rstrip())
            row = ""
        else:
            assert character.isprintable(), said
            if columns and at == columns:
                shown.append(row)
                row, at = "", 0
            row = f"{row[:at]}{character}{row[at + 1 :]}"
            at += 1
    assert row == "", f"no newline after {row}"
    return shown


def bars(shown: list[str]) -> list[str]:
    return [row for row in shown if row.endswith("%")]


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    publisher = Publisher.start(tmp_path)
    publisher.offer(FIRST, {WEB: 1}, size=100_000)
    publisher.offer(SECOND, {WEB: 2}, size=100_000)
    return publisher


@pytest.fixture
def cli(publisher: Publisher, data_dir: Path) -> CommandLine:
    """A portal that reads the source."""
    return CommandLine(data_dir, publisher.settings)


@pytest.mark.parametrize(("columns", "widths"), [(100, (36, 36, 36)), (40, (6, 10, 13))])
def test_one_bar_that_fits_and_a_line_of_its_own_for_all_else(
    cli: CommandLine,
    publisher: Publisher,
    tmp_path: Path,
    columns: int,
    widths: tuple[int, int, int],
) -> None:
    terminal = Terminal(cli, columns)
    update, create, add = (f"[{'#' * width}]  100%" for width in widths)
    shown = terminal.run("kcare", "update")
    assert bars(shown) == [f"Downloading 2 patchsets  {update}"]
    if columns == 100:
        assert sum(bool(LOGGED.match(row)) for row in shown) == len(shown) - 1 == 4
    shown = terminal.run("bundle", "create", tmp_path / "bundle")
    assert bars(shown) == [f"Writing 2 patchsets  {create}"] == shown[:1]
    archive = publisher.pack(THIRD, {WEB: 3})
    shown = terminal.run("source", "add", publisher.folder, archive)
    assert bars(shown) == [f"Adding 1 archive  {add}"] == shown[:1]


def test_a_terminal_too_narrow_for_a_bar_has_the_figure(cli: CommandLine) -> None:
    assert bars(Terminal(cli, 20).run("kcare", "update")) == ["Downloading 2  100%"]


def test_a_terminal_that_does_not_tell_its_size_has_a_bar(cli: CommandLine) -> None:
    (bar,) = bars(Terminal(cli, 0).run("kcare", "update"))
    assert bar == f"Downloading 2 patchsets  [{'#' * 36}]  100%"


def test_nothing_is_drawn_where_nobody_looks(
    cli: CommandLine, publisher: Publisher, tmp_path: Path
) -> None:
    archive = publisher.pack(THIRD, {WEB: 3})
    for arguments in (
        ("kcare", "update"),
        ("bundle", "create", tmp_path / "bundle"),
        ("source", "add", publisher.folder, archive),
    ):
        done = cli(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert "%" not in done.stdout
        assert "\r" not in done.stdout


def test_a_pipe_gets_the_lines_and_the_terminal_the_bar(cli: CommandLine) -> None:
    out, pipe = os.pipe()
    with Terminal(cli, 100).running("kcare", "update", stdout=pipe) as (_, screen):
        os.close(pipe)
        (bar,) = rows(b"".join(received(screen)).decode(), 100)
    assert bar.startswith("Downloading 2 patchsets  [####")
    with os.fdopen(out) as lines:
        assert all(LOGGED.match(line) for line in lines)


def test_a_refusal_has_a_line_of_its_own(cli: CommandLine, publisher: Publisher) -> None:
    spoil(publisher.stored(FIRST))
    shown = Terminal(cli, 1000).run("kcare", "update", code=1)
    (bar,) = bars(shown)
    others = [row for row in shown if row != bar]
    assert others[-1].startswith("kc.eportal: error: 1 of 2 patchsets could not be had")
    assert all(LOGGED.match(row) for row in others[:-1])


def test_a_terminal_that_goes_away_stops_nothing(cli: CommandLine) -> None:
    with Path(os.devnull).open("r+b") as nowhere:
        null = nowhere.fileno()
        with Terminal(cli, 100).running("kcare", "update", stdout=null) as (process, screen):
            assert b"Downloading" in next(received(screen))
            os.dup2(null, screen)
    assert process.returncode == 0
    assert {row["patchset"] for row in cli.json("kcare", "list")} == {FIRST, SECOND}
