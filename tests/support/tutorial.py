"""Docs as somebody follows them: code is written where it says, commands are typed as shown."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

_BLOCK = re.compile(
    r"<!-- (?:include examples/|file )(?P<file>\S+).*? -->\n```\w+\n(?P<code>.*?)\n```\n"
    r"|```console\n(?P<typed>.*?)\n```\n",
    re.S,
)
_END = "--- end of what it said ---"
#: When a log line was written, which is another time today.
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}")
#: The default port of the portal, for which the tests take a free one.
PORT = "8142"


@dataclass(frozen=True)
class Code:
    """A piece of the file ``path``, to be written below what the file has."""

    path: str
    text: str


@dataclass(frozen=True)
class Command:
    """What is typed, and what is said to come of it."""

    line: str
    expected: str


def steps(page: str) -> Iterator[Code | Command]:
    """What ``page`` tells its reader to do, from top to bottom."""
    for found in _BLOCK.finditer(page):
        if found["file"]:
            yield Code(found["file"], found["code"])
        else:
            for typed in re.split(r"^\$ ", found["typed"], flags=re.M)[1:]:
                line, _, expected = typed.partition("\n")
                yield Command(line, expected.rstrip("\n"))


def write(folder: Path, code: Code) -> None:
    """Add ``code`` to its file, as formatters part functions."""
    path = folder / code.path
    path.parent.mkdir(parents=True, exist_ok=True)
    before = f"{path.read_text()}\n\n" if path.exists() else ""
    path.write_text(f"{before}{code.text}\n")


def agrees(expected: str, said: str) -> bool:
    """``...`` stands for any lines, ``…`` for anything within one; blanks count as one."""
    pattern = ""
    for line in expected.splitlines():
        if line == "...":
            pattern += r"(?:.*\n)*?"
            continue
        line = re.escape(_TIME.sub("TIME", " ".join(line.split()))).replace("…", ".*")
        pattern += f"{line}\n"
    lines = [_TIME.sub("TIME", " ".join(line.split())) for line in said.splitlines()]
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in lines)) is not None


class Shell:
    """A shell that stays the same from command to command."""

    def __init__(self, folder: Path, environ: Mapping[str, str], port: int) -> None:
        self._port = str(port)
        self._process = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def type(self, line: str) -> str:
        """What the command says, to standard output or error."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{line.replace(PORT, self._port)}\nprintf '\\n{_END}\\n'\n")
        process.stdin.flush()
        said = ""
        while not said.endswith(f"\n{_END}\n"):
            text = process.stdout.readline()
            assert text, f"the shell ended: {said}"
            said += text
        if line.endswith("&"):
            self._wait_until_served()
        return said.removesuffix(f"\n{_END}\n").strip("\n")

    def close(self) -> None:
        """End it, and what it left running."""
        self._process.communicate("kill $(jobs -p); wait\n", timeout=30)

    def _wait_until_served(self) -> None:
        for path in ("readyz", "admin/"):
            deadline = time.monotonic() + 60
            while True:
                try:
                    urlopen(f"http://127.0.0.1:{self._port}/{path}", timeout=2).close()
                    break
                except (URLError, OSError):
                    assert time.monotonic() < deadline, "the portal did not start"
                    time.sleep(0.05)
