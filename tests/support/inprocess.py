"""``kc.eportal`` run in this process: the same ``main``, without the cost of starting Python."""

from __future__ import annotations

import io
import json
import logging
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from eportal_core import db
from eportal_core.cli import TALKATIVE, main
from eportal_core.db import FILE_NAME as DATABASE

#: Variables that commands look at; those of whoever runs the tests do not count.
_MEANT_FOR_US = ("EPORTAL_", "DRY_RUN", "SSH_CONNECTION", "SUDO_USER")


@dataclass(frozen=True)
class Done:
    """A command that ended: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """The sentence of a refusal, which is the last line of standard error and names us.

        What may stand before it is the usage, as argparse prints it.
        """
        *usage, line = self.err.splitlines()
        assert self.err.endswith(f"{line}\n")
        assert not usage or usage[0].startswith("usage: kc.eportal")
        assert "Traceback" not in self.err
        program, error, sentence = line.partition(": error: ")
        assert program.startswith("kc.eportal")
        assert error
        return sentence


@dataclass(frozen=True)
class InProcess:
    """Runs ``kc.eportal`` on one data directory; each run opens a portal of its own."""

    data_dir: Path

    def __call__(self, *arguments: object, **environ: str) -> Done:
        """Run to the end; ``environ`` is added to the environment."""
        out, err = io.StringIO(), io.StringIO()
        clean = {k: v for k, v in os.environ.items() if not k.startswith(_MEANT_FOR_US)}
        settings = {"EPORTAL_DATA_DIR": str(self.data_dir), "COLUMNS": "100"}
        with (
            mock.patch.dict(os.environ, {**clean, **settings, **environ}, clear=True),
            redirect_stdout(out),
            redirect_stderr(err),
            _own_database(),
            _own_process_state(),
        ):
            try:
                code = main([str(argument) for argument in arguments])
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
        return Done(code, out.getvalue(), err.getvalue())

    def ok(self, *arguments: object, **environ: str) -> str:
        """Standard output of a command that must succeed, and complain of nothing."""
        done = self(*arguments, **environ)
        assert (done.code, done.err) == (0, ""), done
        return done.out

    def json(self, *arguments: object) -> Any:
        return json.loads(self.ok(*arguments, "--json"))

    def refused(self, *arguments: object, code: int) -> str:
        """The sentence of a command that must fail with ``code`` and change nothing at all."""
        if not self.data_dir.exists():
            self.ok("feed")
        before = self.world()
        done = self(*arguments)
        assert (done.code, done.out) == (code, ""), done
        assert self.world() == before
        return done.said

    def world(self) -> tuple[list[str], dict[str, bytes | None]]:
        """Everything in the database, and every file with its bytes; None for a folder."""
        with closing(sqlite3.connect(self.data_dir / DATABASE)) as database:
            rows = list(database.iterdump())
        files = {
            str(path.relative_to(self.data_dir)): None if path.is_dir() else path.read_bytes()
            for path in self.data_dir.rglob("*")
            if not path.name.startswith(DATABASE)
        }
        return rows, files


@contextmanager
def _own_database() -> Iterator[None]:
    """The command binds the models to a database; give them back to the one of the test.

    If it is the same one they stay: threads of the test may be busy with it.
    """
    before, connect = db.database.obj, db.connect

    def connect_once(data_dir: Path) -> Any:
        is_same = before is not None and before.database == str(data_dir / DATABASE)
        return before if is_same else connect(data_dir)

    try:
        with mock.patch.object(db, "connect", connect_once):
            yield
    finally:
        if db.database.obj is not before:
            db.close()
            db.database.initialize(before)


@contextmanager
def _own_process_state() -> Iterator[None]:
    """What ``main`` sets for its whole process: where log lines go."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels: Mapping[str, int] = {name: logging.getLogger(name).level for name in TALKATIVE}
    complains = logging.raiseExceptions
    root.handlers.clear()
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)
        logging.raiseExceptions = complains
