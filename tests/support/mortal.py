"""Commands that die, or meet a full disk, at a chosen step.

``python -m tests.support.mortal`` loads ``kc.eportal`` once, then forks a process for each command
line it is told: what the command does is real, and a hundred crashes take seconds. A step is
anything on the disk or in the database that the next process could see; the command dies by
SIGKILL just before it. Between two steps nothing can be seen, so all moments are covered.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import signal
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from eportal_core import cli
from eportal_core.commands.session import Session

LIFE_SECONDS = 60

_SYNC = "sync"
_CHANGES = ("os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_PRELOADED = (
    "eportal_core.operations.fetching",
    "eportal_core.patchsets.archive",
    "eportal_core.patchsets.store",
    "eportal_core.source.adding",
    "eportal_core.source.creating",
    "eportal_core.source.files",
    "eportal_core.source.metadata",
    "eportal_core.source.places",
    "eportal_core.source.publishing",
    "eportal_core.source.status",
    "eportal_core.source.trust",
    "eportal_kernelcare",
    "playhouse.migrations",
    "playhouse.pool",
)
#: Steps that need room on the disk.
_GROWING = ("open", "os.mkdir", "os.rename", "os.link")


@dataclass(frozen=True)
class Fate:
    """What befalls a command; by default nothing does. Steps are counted from 1.

    die_at: the step before which it is killed. die_before: words of such a step instead.
    die_at_byte: it is killed when a file grows to more than so many bytes, in the middle of
    writing. full_from: the first of those steps that need room on the disk at which there is none
    left; there is none afterwards. full_at_byte: no file may grow to more than so many bytes.
    powerless: root is as weak as anybody before a file's permissions. told: every step is in the
    output, and what waits for the disk between them.
    """

    die_at: int = 0
    die_before: str = ""
    die_at_byte: int | None = None
    full_from: int = 0
    full_at_byte: int | None = None
    powerless: bool = False
    told: bool = False


NONE = Fate()


@dataclass(frozen=True)
class Outcome:
    """returncode: negative for a signal. output: both streams, and the step of a death."""

    returncode: int
    output: str

    @property
    def died(self) -> bool:
        return self.returncode in (-signal.SIGKILL, -signal.SIGXFSZ)


class Mortals:
    """Runs command lines that may die."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(
        self,
        data_dir: Path,
        *arguments: object,
        fate: Fate = NONE,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> Outcome:
        (outcome,) = self.together(data_dir, [arguments], fate, settings)
        return outcome

    def together(
        self,
        data_dir: Path,
        commands: Sequence[Sequence[object]],
        fate: Fate = NONE,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> list[Outcome]:
        """Run command lines at the same moment, each in a process of its own."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {
            "settings": {"DATA_DIR": str(data_dir), **settings},
            "commands": [list(map(str, arguments)) for arguments in commands],
            "fate": asdict(fate),
        }
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return [Outcome(**row) for row in json.loads(self._process.stdout.readline())]

    def ok(
        self,
        data_dir: Path,
        *arguments: object,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        outcome = self(data_dir, *arguments, settings=settings)
        assert outcome.returncode == 0, outcome.output
        return outcome.output


@contextmanager
def mortals() -> Iterator[Mortals]:
    """The process that forks them, until the block ends."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("EPORTAL_")}
    command = [sys.executable, "-m", __name__]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    ) as process:
        yield Mortals(process)


def watch(folder: str, step: Callable[[str, str], None]) -> None:
    """Call ``step`` with kind and subject before every step below ``folder``, and every sync.

    There is no way back: audit hooks stay.
    """

    def trace(statement: str) -> None:
        if not statement.startswith(("SELECT", "PRAGMA")):
            step("sql", statement)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "ctypes.dlsym":
            if arguments[1] == "syncfs":
                step(_SYNC, "file system")
            elif arguments[1] == "renameat2":
                step("exchange", "")
        elif event == "open":
            path, _, flags = arguments
            if flags & _WRITING and str(path).startswith(folder):
                step(event, str(path))
        # The last argument is a folder's descriptor, or -1; rmtree alone works by descriptors.
        elif event in _CHANGES and (arguments[-1] != -1 or str(arguments[0]).startswith(folder)):
            step(event, str(arguments[0]))

    fsync = os.fsync

    def fsync_watched(descriptor: int) -> None:
        step(_SYNC, str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    os.fsync = fsync_watched
    connect = sqlite3.connect

    def connect_traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.set_trace_callback(trace)
        return connection

    sqlite3.connect = connect_traced
    sys.addaudithook(hook)


def _meet(fate: Fate, folder: str) -> None:
    if fate.powerless:
        # No capabilities. Source: capset(2), version 3.
        ctypes.CDLL(None).capset(struct.pack("Ii", 0x20080522, 0), bytes(24))
    if fate.die_at_byte is not None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (fate.die_at_byte, fate.die_at_byte))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    if fate.full_at_byte is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (fate.full_at_byte, fate.full_at_byte))
    count = 0

    def step(kind: str, subject: str) -> None:
        nonlocal count
        words = f"{kind} {subject}"
        if fate.told:
            os.write(2, f"{words}\n".encode())
        if kind == _SYNC:
            return
        if fate.full_from and kind not in _GROWING:
            return
        count += 1
        if count == fate.die_at or (fate.die_before and fate.die_before in words):
            os.write(2, f"died before {words}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)
        if fate.full_from and count >= fate.full_from:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), subject)

    watch(folder, step)


def _command(arguments: list[str]) -> int:
    if arguments == ["sweep"]:
        # What `serve` does first; serving itself does not end.
        Session(cli.load(), os.environ).portal.storage.sweep()
        return 0
    return cli.main(arguments)


def _live(
    settings: dict[str, str], arguments: list[str], fate: Fate, output: int, gate: int
) -> None:
    """The forked process: it does not return."""
    code = 70
    try:
        os.read(gate, 1)
        os.dup2(output, 1)
        os.dup2(output, 2)
        # The ones of before know what they were opened on, and it was another thing.
        sys.stdout = sys.stderr = os.fdopen(output, "w")
        # A command that should have failed may wait for ever.
        signal.alarm(LIFE_SECONDS)
        os.environ.update({f"EPORTAL_{name}": value for name, value in settings.items()})
        _meet(fate, settings["DATA_DIR"])
        code = _command(arguments)
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        os._exit(code)


def _serve() -> None:
    # Before the first fork, once for all of them.
    for module in _PRELOADED:
        import_module(module)
    plugins = cli.load()
    cli.load = lambda: plugins

    for line in sys.stdin:
        order = json.loads(line)
        fate = Fate(**order["fate"])
        # All of them read this pipe, and go when it is closed.
        gate, opener = os.pipe()
        started = []
        for arguments in order["commands"]:
            reading, writing = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(opener)
                _live(order["settings"], arguments, fate, writing, gate)
            os.close(writing)
            started.append((pid, reading))
        os.close(gate)
        os.close(opener)
        print(json.dumps([_end(pid, reading) for pid, reading in started]), flush=True)


def _end(pid: int, reading: int) -> dict[str, int | str]:
    """Wait for the process; its exit code and what it printed."""
    with open(reading, "rb") as pipe:
        output = pipe.read().decode()
    _, status = os.waitpid(pid, 0)
    return {"returncode": os.waitstatus_to_exitcode(status), "output": output}


if __name__ == "__main__":
    _serve()
